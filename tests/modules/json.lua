-- Package: lua-json
-- Modules: json
-- Luas: 5.1 5.2 5.3 luajit
--
-- There and back, by LPeg.
local json = require "json"
print(json.encode { 1, { a = "x" }, true })
print(json.decode '{"a":[1,2,{"b":null}]}'.a[2])
print(pcall(json.decode, "[1,"))
