-- Package: lua-busted
-- Modules: busted busted.runner
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A project's tests, by the runner within a script. It ends the script itself, with the number of failures.
local path = "sum_spec.lua"
local file = assert(io.open(path, "w"))
file:write [[
describe("a sum", function()
  it("is right", function() assert.are.equal(4, 2 + 2) end)
  it("is the same", function() assert.are.same({ 1, { 2 } }, { 1, { 2 } }) end)
  it("waits", function() pending "later" end)
  local calls = spy.new(function() end)
  it("spies", function() calls(1); assert.spy(calls).was.called_with(1) end)
end)
]]
file:close()
arg = { [0] = arg[0], "--output=TAP", path }
require "busted.runner" { standalone = false }
