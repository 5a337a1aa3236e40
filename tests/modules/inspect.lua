-- Package: lua-inspect
-- Modules: inspect
-- Luas: 5.1 5.2 5.3 luajit
--
-- A table as text.
print(require "inspect" { 1, { x = { y = {} } }, name = "n", f = 1.5 })
