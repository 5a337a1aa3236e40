-- Package: lua-sql-sqlite3
-- Modules: luasql.sqlite3
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A database in memory, one in a file, random numbers.
local env = require "luasql.sqlite3".sqlite3()
local db = env:connect ":memory:"
print(db:execute "create table t (a integer, b text)")
print(db:execute "insert into t values (1, 'x'), (2, 'y')")
local cursor = db:execute "select a, b from t order by a desc"
local row = cursor:fetch({}, "a")
while row do print(row.a, row.b) row = cursor:fetch(row, "a") end
print(db:execute "select nothing")
local file = env:connect "file.db"
print(file:execute "create table t (a)", file:execute "insert into t values (random())")
print(file:close(), db:close(), env:close())
