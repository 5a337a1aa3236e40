-- Package: lua-dkjson
-- Modules: dkjson
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- There and back; it uses LPeg if that is there.
local json = require "dkjson"
print(json.encode({ a = 1, b = { 1, 2.5, json.null } }, { indent = true, keyorder = { "a", "b" } }))
print(json.decode('[1, {"x": "y"}]')[2].x, json.version)
print(json.decode "[1,")
print(json.use_lpeg and json.use_lpeg().decode '{"a":[true]}'.a[1])
