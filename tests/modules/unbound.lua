-- Package: lua-unbound
-- Modules: lunbound
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A name of the file of hosts, and of no server.
local unbound = require "lunbound"
local context = unbound.new { hoststxt = true, resolvconf = false, forward = "127.0.0.1" }
local answer = context:resolve("localhost", 1, 1)
print(type(answer), answer and answer.rcode, answer and #answer)
