-- Package: lua-dbi-sqlite3
-- Modules: DBI dbd.sqlite3
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- The same with the driver loaded.
local DBI = require "DBI"
local db = assert(DBI.Connect("SQLite3", "file.db"))
assert(DBI.Do(db, "create table t (a integer)"))
assert(DBI.Do(db, "insert into t values (42)"))
db:commit()
db:close()
db = assert(DBI.Connect("SQLite3", "file.db"))
local select = assert(db:prepare "select a from t")
assert(select:execute())
print(select:fetch()[1])
