-- Package: lua-swupdate
-- Modules: lua_swupdate
-- Luas: 5.3
--
-- Its functions, and the error where nobody serves.
local swupdate = require "lua_swupdate"
print(type(swupdate))
local control = swupdate.control and swupdate.control()
print(control and pcall(control.connect, control))
