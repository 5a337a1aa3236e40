-- Package: lua-sql-mysql
-- Modules: luasql.mysql
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- No server: its error.
local env = require "luasql.mysql".mysql()
print(env:connect("db", "user", "password", "127.0.0.1", 1))
