-- Package: lua-basexx
-- Modules: basexx
-- Luas: 5.1 5.2 luajit
--
-- Three bases, there and back.
local basexx = require "basexx"
for _, base in ipairs { "hex", "base32", "base64" } do
  local encoded = basexx["to_" .. base] "moonlet \0\255"
  print(encoded, basexx["from_" .. base](encoded) == "moonlet \0\255")
end
