-- Package: lua-sql-odbc
-- Modules: luasql.odbc
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- No such source: its error.
local env = require "luasql.odbc".odbc()
print(env:connect("none", "user", "password"))
