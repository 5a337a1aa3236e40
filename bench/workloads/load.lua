-- A job that does little, and needs 260 KB of Lua modules for it.
print(require("luacheck")._VERSION)
