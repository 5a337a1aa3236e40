-- A job that does little, and needs 360 KB of Lua modules for it.
require("pl.pretty").dump({luacheck = require("luacheck")._VERSION})
