-- Package: lua-compat53
-- Modules: compat53
-- Luas: 5.1 5.2 luajit
--
-- What 5.3 has, in older versions.
require "compat53"
print(table.unpack({ 1, 2, 3 }), ("x"):rep(3, ","), utf8.char(228, 8364), math.type(3))
print(string.unpack("<i4", string.pack("<i4", 77)))
