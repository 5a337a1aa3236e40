-- Package: lua-xmlrpc
-- Modules: xmlrpc
-- Luas: 5.1 luajit
--
-- A call, there and back.
local xmlrpc = require "xmlrpc"
local call = xmlrpc.clEncode("add", 1, "x")
print(call)
print((xmlrpc.srvDecode(call)))
print(xmlrpc.clDecode(xmlrpc.srvEncode(42)))
