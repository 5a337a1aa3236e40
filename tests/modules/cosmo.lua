-- Package: lua-cosmo
-- Modules: cosmo
-- Luas: 5.1 5.2 luajit
--
-- A template with a list.
local cosmo = require "cosmo"
print(cosmo.fill("$title: $list[[<$it>]]", { title = "t", list = { "a", "b" } }))
