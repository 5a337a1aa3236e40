-- Package: lua-ldoc
-- Modules: ldoc.doc ldoc.markup ldoc.parse ldoc.tools
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A module's documentation.
local file = assert(io.open("m.lua", "w"))
file:write "--- A module.\n-- @module m\nlocal m = {}\n--- Adds.\n-- @param a one\n-- @param b other\nfunction m.add(a, b) return a + b end\nreturn m\n"
file:close()
local tools, doc, parse = require "ldoc.tools", require "ldoc.doc", require "ldoc.parse"
print(type(doc.File), type(parse.file), type(tools.extract_identifier))
print(type(require "ldoc.markup".create))
