-- Package: lua-cgi
-- Modules: cgilua.urlcode cgilua.lp cgilua.serialize
-- Luas: 5.1 luajit
--
-- A page's template, a query and a table as text.
local urlcode, lp, serialize = require "cgilua.urlcode", require "cgilua.lp", require "cgilua.serialize"
local query = {}
urlcode.parsequery("a=1&b=x%20y&a=2", query)
print(query.b, query.a[2], urlcode.escape "ä &")
print(lp.translate "<p><?lua for i = 1, 2 do ?><%= i %><?lua end ?></p>")
serialize.serialize({ 1, "two" }, print)
