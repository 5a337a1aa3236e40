-- Package: lua-bitop
-- Modules: bit
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- Arithmetic of 32 bits, with signs.
local bit = require "bit"
print(bit.tohex(bit.bswap(0x12345678)), bit.rol(1, 31), bit.arshift(-256, 4), bit.bnot(0))
