-- Package: lua-luassert
-- Modules: luassert
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- What holds and what does not.
local assert = require "luassert"
assert.are.same({ 1, { x = 2 } }, { 1, { x = 2 } })
assert.has_error(function() error "x" end)
print(pcall(assert.are.equal, 1, 2))
local ok, message = pcall(assert.are.same, { 1 }, { 2 })
print(ok, (tostring(message):gsub("0x%x+", "ADDRESS")))
