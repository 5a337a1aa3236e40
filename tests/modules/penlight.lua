-- Package: lua-penlight
-- Modules: pl pl.pretty pl.List pl.path pl.file pl.stringx pl.template pl.data pl.OrderedMap
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- Lists, paths, files, a template, tables as text.
local List, path, pretty = require "pl.List", require "pl.path", require "pl.pretty"
print(List { 3, 1, 2 }:sort():map("+", 1):join " ")
print(path.join("a", "b.lua"), path.extension "a/b.lua", path.exists ".")
require "pl.file".write("x", "text")
print(require "pl.file".read "x", path.getsize "x")
print(pretty.write { 1, a = { "x" } })
print(require "pl.template".substitute("# for i = 1, 2 do\n$(i)\n# end\n", {}))
print(require "pl.data".read(require "pl.stringio".open "a,b\n1,2\n")[1][2])
local map = require "pl.OrderedMap" { { z = 1 }, { a = 2 } }
print(tostring(map), require "pl.stringx".split("a b", " ")[2], require "pl.app".platform())
