-- A job of a few milliseconds that needs 300 KB of Lua modules: luacheck looks at one line.
local reports = require("luacheck").check_strings({"local unused = 1; return 2"})
print(reports[1][1].code)
