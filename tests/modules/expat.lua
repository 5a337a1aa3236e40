-- Package: lua-expat
-- Modules: lxp lxp.lom
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A document by its events and as a tree, and an error.
local lxp, lom = require "lxp", require "lxp.lom"
local depth = 0
local parser = lxp.new {
  StartElement = function(_, name, attributes) print(("  "):rep(depth) .. name, attributes.id) depth = depth + 1 end,
  EndElement = function() depth = depth - 1 end,
  CharacterData = function(_, text) print(("  "):rep(depth) .. text) end,
}
parser:parse "<a id='1'><b>text &amp; more</b>"
parser:parse "<c/></a>"
parser:parse()
parser:close()
print(lom.parse "<x y='z'>inner</x>"[1])
print(lom.parse "<x><y></x>")
