-- Package: lua-lemock
-- Modules: lemock
-- Luas: 5.1 luajit
--
-- An object that expects calls.
local control = require "lemock".controller()
local mock = control:mock()
mock.add(1, 2)
control:returns(3)
control:replay()
print(mock.add(1, 2), pcall(mock.add, 3, 4))
