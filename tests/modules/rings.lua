-- Package: lua-rings
-- Modules: rings
-- Luas: 5.1 5.2 luajit
--
-- A second Lua state.
local rings = require "rings"
local state = rings.new { say = function(text) print("told", text) return "heard" end }
print(state:dostring "x = (x or 0) + 1; return x")
print(state:dostring "return remotedostring 'return 6 * 7'")
print(state:dostring "error('within', 0)")
state:close()
