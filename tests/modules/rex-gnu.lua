-- Package: lua-rex-gnu
-- Modules: rex_gnu
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A search, a replacement.
local rex = require "rex_gnu"
print(rex.match("key = value", "([a-z]+) = ([a-z]+)"))
print(rex.gsub("a1b22", "[0-9]+", "<%0>"), pcall(rex.new, "("))
