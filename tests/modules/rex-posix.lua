-- Package: lua-rex-posix
-- Modules: rex_posix
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A search, a replacement.
local rex = require "rex_posix"
print(rex.match("key = value", "([a-z]+) = ([a-z]+)"))
print(rex.gsub("a1b22", "[0-9]+", "<%0>"), pcall(rex.new, "("))
