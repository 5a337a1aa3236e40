-- Package: lua-say
-- Modules: say
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- Texts in two languages.
local say = require "say"
say:set_namespace "en"
say:set("hello", "Hello %s")
say:set_namespace "fr"
say:set("hello", "Bonjour %s")
print(say("hello", { "x" }))
say:set_namespace "en"
print(say("hello", { "x" }))
