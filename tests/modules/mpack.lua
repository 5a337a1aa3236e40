-- Package: lua-mpack
-- Modules: mpack
-- Luas: 5.1 5.2 5.3 luajit
--
-- There and back, and a session.
local mpack = require "mpack"
local pack = mpack.encode or mpack.pack or mpack.Packer()
local unpack = mpack.decode or mpack.unpack or mpack.Unpacker()
local packed = pack { 1, "x", { 2.5 } }
print(#packed, unpack(packed)[2])
print(#mpack.Session():request())
