-- Package: sputnik
-- Modules: saci saci.sandbox diff
-- Luas: 5.1
--
-- Two texts compared, and code in a sandbox.
local diff = require "diff"
for _, part in ipairs(diff.diff("one two four", "one three four")) do print(part[1], part[2]) end
local sandbox = require "saci.sandbox".new {}
local result = sandbox:do_lua "x = 6 * 7"
print(result.x, (sandbox:do_lua "error 'no'"))
