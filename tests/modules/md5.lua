-- Package: lua-md5
-- Modules: md5
-- Luas: 5.1 5.2 luajit
--
-- A sum, and its cipher.
local md5 = require "md5"
print(md5.sumhexa "abc", md5.exor("ab", "  "))
local secret = md5.crypt("text", "key", "seed")
print(md5.decrypt(secret, "key"))
