-- Package: lua-cjson
-- Modules: cjson cjson.util
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- There and back, and an error.
local cjson = require "cjson"
print(cjson.encode { 1, 2.5, "x\n", { a = cjson.null } })
print(cjson.decode '{"list":[1,{"x":"\\u00e4"}]}'.list[2].x)
print(pcall(cjson.decode, "[1,"))
