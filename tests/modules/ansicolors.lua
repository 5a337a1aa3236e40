-- Package: lua-ansicolors
-- Modules: ansicolors
-- Luas: 5.1 5.2 5.3 luajit
--
-- Colours by name.
local colors = require "ansicolors"
print((colors("%{bright red}warm%{reset} %{underline}cold"):gsub("\27", "ESC")))
