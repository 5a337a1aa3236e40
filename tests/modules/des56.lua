-- Package: lua-md5
-- Modules: des56
-- Luas: 5.1 5.2 luajit
--
-- DES, there and back.
local des56 = require "des56"
local secret = des56.crypt("eight by", "password")
print(#secret, des56.decrypt(secret, "password"))
