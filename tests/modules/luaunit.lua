-- Package: lua-unit
-- Modules: luaunit
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A suite with a failure. It says how long it took, so its text is looked at alone.
local unit = require "luaunit"
TestSum = {}
function TestSum:test_right() unit.assertEquals(2 + 2, 4) end
function TestSum:test_wrong() unit.assertEquals(2 + 2, 5) end
function TestSum:test_error() unit.assertErrorMsgContains("x", function() error "x" end) end
local runner = unit.LuaUnit.new()
runner:setOutputType "nil"
print(runner:runSuite(), runner.result.passedCount, #runner.result.failedTests)
