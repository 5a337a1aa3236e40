-- Package: lua-dbi-sqlite3
-- Modules: DBI
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A database in memory. The driver is loaded at the first connection.
local DBI = require "DBI"
local db = assert(DBI.Connect("SQLite3", ":memory:"))
assert(DBI.Do(db, "create table t (a integer, b text)"))
local insert = assert(db:prepare "insert into t values (?, ?)")
for i = 1, 3 do assert(insert:execute(i, "row " .. i)) end
local select = assert(db:prepare "select a, b from t order by a desc")
assert(select:execute())
for row in select:rows(true) do print(row.a, row.b) end
print(DBI.Connect("SQLite3", "/nonexistent/db"))
db:close()
