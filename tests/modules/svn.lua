-- Package: lua-svn
-- Modules: svn
-- Luas: 5.1 luajit
--
-- A repository of its own.
local svn = require "svn"
local where = io.popen "pwd":read "*l"
print(pcall(svn.repos_create, where .. "/repository"))
print(pcall(svn.log, "file:///nonexistent"))
