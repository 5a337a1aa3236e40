-- Package: lua-penlight
-- Modules: pl.strict
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- Globals that nobody has declared are errors.
require "pl.strict"
print(pcall(function() return undeclared end))
print(pcall(function() undeclared = 1 end))
