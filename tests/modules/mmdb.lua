-- Package: lua-mmdb
-- Modules: mmdb
-- Luas: 5.1 5.2 5.3 luajit
--
-- There is no database: its error.
local mmdb = require "mmdb"
print(pcall(mmdb.read or mmdb.open, "/nonexistent"))
