-- Package: lua-rex-pcre2
-- Modules: rex_pcre2
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A search, a replacement, the compiler for the processor.
local rex = require "rex_pcre2"
print(rex.match("key = value", "(?<k>\\w+) = (\\w+)"))
print(rex.gsub("a1b22", "\\d+", "<%0>"), pcall(rex.new, "("))
local compiled = rex.new "(a|b)+c"
print(pcall(function() return compiled:jit_compile() end))
print(compiled:find "xxababc")
