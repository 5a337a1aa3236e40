-- Package: lua-soap
-- Modules: soap
-- Luas: 5.1 luajit
--
-- A message, there and back.
local soap = require "soap"
local text = soap.encode { namespace = "urn:x", method = "add", entries = { { tag = "a", 1 } } }
print(#text > 0)
print((select(2, soap.decode(text))))
