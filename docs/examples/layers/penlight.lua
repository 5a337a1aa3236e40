-- A warm-up: all of Penlight but what changes the script that loads it.
local modules = {"app", "array2d", "class", "compat", "config", "data", "Date", "dir", "file", "func", "input", "lapp",
  "lexer", "List", "luabalanced", "Map", "MultiMap", "operator", "OrderedMap", "path", "permute", "pretty", "seq", "Set",
  "sip", "stringio", "stringx", "tablex", "template", "test", "text", "types", "url", "utils", "xml"}
for _, name in ipairs(modules) do require("pl." .. name) end
