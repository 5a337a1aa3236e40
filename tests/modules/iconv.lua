-- Package: lua-iconv
-- Modules: iconv
-- Luas: 5.1 5.2 5.3 luajit
--
-- To another alphabet, and what that has not.
local iconv = require "iconv"
local to = iconv.open or iconv.new
local text = to("latin1", "utf-8"):iconv "\195\164x"
print(#text, text:byte(1, -1))
print(to("ascii//TRANSLIT", "utf-8"):iconv "\226\130\172")
print(to("ascii", "utf-8"):iconv "\195\164")
