-- Package: lua-http
-- Modules: http.util http.cookie http.hpack http.websocket
-- Luas: 5.1 5.2 luajit
--
-- What needs no connection.
local util, cookie, hpack = require "http.util", require "http.cookie", require "http.hpack"
print(util.encodeURIComponent "a b&ä", util.decodeURIComponent "a%20b")
print(cookie.bake("n", "v", nil, "example.com", "/"))
local context = hpack.new(4096)
context:add_header_indexed("x", "y")
print(#context:render_data())
print(type(require "http.websocket".new_from_uri "ws://127.0.0.1/"))
