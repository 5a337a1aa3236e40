-- Package: lua-augeas
-- Modules: augeas
-- Luas: 5.1 luajit
--
-- A tree of settings, without files.
local augeas = require "augeas"
local tree = augeas.init(".", nil, augeas.no_load + augeas.no_modl_autoload)
print(augeas.set(tree, "/settings/a", "1"), augeas.set(tree, "/settings/b", "2"))
print(augeas.get(tree, "/settings/a"), augeas.matches(tree, "/settings/*"))
for _, path in ipairs(augeas.match(tree, "/settings/*")) do print(path) end
print(augeas.rm(tree, "/settings/a"), augeas.get(tree, "/settings/a"))
