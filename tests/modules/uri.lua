-- Package: lua-uri
-- Modules: uri
-- Luas: 5.1 5.2 luajit
--
-- Parts of URIs, and what is none.
local URI = require "uri"
local uri = assert(URI:new "HTTP://Example.com:80/a/../b?q#f")
print(tostring(uri), uri:host(), uri:path(), uri:query())
print(URI:new "http://[x")
