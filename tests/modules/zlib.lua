-- Package: lua-zlib
-- Modules: zlib
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- There and back, and sums.
local zlib = require "zlib"
local text = ("text "):rep(100)
local packed = zlib.deflate()(text, "finish")
print(#packed, zlib.inflate()(packed) == text)
print(zlib.crc32()(text), zlib.adler32()(text))
