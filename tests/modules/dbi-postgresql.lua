-- Package: lua-dbi-postgresql
-- Modules: DBI dbd.postgresql
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- No server: its error.
local DBI = require "DBI"
print(DBI.Connect("PostgreSQL", "db", "user", "password", "127.0.0.1", 1))
