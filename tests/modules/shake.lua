-- Package: shake
-- Modules: shake
-- Luas: 5.1
--
-- A test that passes and one that fails.
local shake = require "shake"
local file = io.open("tests.lua", "w")
file:write "x = 1\nassert(x == 1, 'one')\nassert(x == 2, 'two')\n"
file:close()
local suite = shake.runner()
suite:test("tests.lua", "the tests")
print((suite:summary():gsub("%d+%.%d+", "TIME")))
