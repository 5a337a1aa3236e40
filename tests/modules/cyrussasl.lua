-- Package: lua-cyrussasl
-- Modules: cyrussasl
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A client of a mechanism without secrets.
local sasl = require "cyrussasl"
print(type(sasl.get_version()))
sasl.client_init()
local client = sasl.client_new("smtp", "localhost", nil, nil)
print(client ~= nil)
print(pcall(sasl.client_start, client, "ANONYMOUS"))
