-- Package: lua-inifile
-- Modules: inifile
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A file, there and back.
local inifile = require "inifile"
inifile.save("x.ini", { part = { key = "value", number = 3 } })
collectgarbage() -- save does not close its file
local read = inifile.parse "x.ini"
print(read.part.key, read.part.number)
