-- Package: lua-messagepack
-- Modules: MessagePack
-- Luas: 5.1 5.2 5.3 luajit
--
-- There and back.
local mp = require "MessagePack"
local packed = mp.pack { 1, -5, "text", 2.5, { true } }
print(#packed, mp.unpack(packed)[3], mp.unpack(packed)[5][1])
