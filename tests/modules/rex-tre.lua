-- Package: lua-rex-tre
-- Modules: rex_tre
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A search, a replacement, and a search that forgives.
local rex = require "rex_tre"
print(rex.match("key = value", "([a-z]+) = ([a-z]+)"))
print(rex.gsub("a1b22", "[0-9]+", "<%0>"), pcall(rex.new, "("))
print(rex.new "moonlet":atfind("moonlit", { cost_ins = 1, cost_del = 1, cost_subst = 1, max_cost = 1, max_ins = 1, max_del = 1, max_subst = 1, max_err = 1 }) ~= nil)
