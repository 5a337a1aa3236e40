-- Package: lua-moses
-- Modules: moses
-- Luas: 5.1 5.2 5.3 luajit
--
-- Lists by functions.
local moses = require "moses"
print(table.concat(moses.map({ 1, 2, 3 }, function(a, b) return (type(b) == "number" and b or a) * 2 end), " "))
print(moses.isEqual({ 1, { 2 } }, { 1, { 2 } }))
