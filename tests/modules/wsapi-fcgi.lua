-- Package: lua-wsapi-fcgi
-- Modules: lfcgi
-- Luas: 5.1 5.2 luajit
--
-- Its part in C, outside of a web server.
local lfcgi = require "lfcgi"
print(type(lfcgi.accept), lfcgi.getenv "PATH" ~= false)
