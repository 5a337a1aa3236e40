-- Package: lua-ldap
-- Modules: lualdap
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- No server: its error.
local lualdap = require "lualdap"
print(lualdap._VERSION or lualdap.version)
print(pcall(lualdap.open_simple, "127.0.0.1:1", "cn=x", "y"))
