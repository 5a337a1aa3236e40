-- Package: lua-rex-onig
-- Modules: rex_onig
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A search, a replacement.
local rex = require "rex_onig"
print(rex.match("key = value", "(\\w+) = (\\w+)"))
print(rex.gsub("a1b22", "\\d+", "<%0>"), pcall(rex.new, "("))
