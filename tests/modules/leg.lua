-- Package: lua-leg
-- Modules: leg.parser leg.grammar
-- Luas: 5.1 luajit
--
-- Lua's own grammar.
local parser, grammar = require "leg.parser", require "leg.grammar"
local lpeg = require "lpeg"
local found = {}
local rules = grammar.apply(parser.rules, lpeg.V "Chunk", { Name = function(name) found[#found + 1] = name end })
print(lpeg.P(rules):match "local x = f(y)", table.concat(found, " "))
