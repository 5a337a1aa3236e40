-- Package: lua-check
-- Modules: luacheck
-- Luas: 5.1 luajit
--
-- A source with two faults.
local luacheck = require "luacheck"
local report = luacheck.check_strings({ "local x = 1\ny = 2\nreturn z" }, { std = "lua51" })
for _, warning in ipairs(report[1]) do print(warning.code, warning.line, luacheck.get_message(warning)) end
