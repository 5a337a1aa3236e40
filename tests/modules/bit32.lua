-- Package: lua-bit32
-- Modules: bit32
-- Luas: 5.1 5.2 5.3 luajit
--
-- Arithmetic of 32 bits.
local bit32 = require "bit32"
print(bit32.band(0xff00ff, 0x0ff0), bit32.bxor(5, 3), bit32.lrotate(0x80000001, 4), bit32.extract(0xabcd, 4, 8))
