-- Package: lua-inotify
-- Modules: inotify
-- Luas: 5.1 5.2 5.3 luajit
--
-- A file that appears.
local inotify = require "inotify"
local handle = inotify.init()
local watch = handle:addwatch(".", inotify.IN_CREATE)
io.open("new", "w"):close()
for _, event in ipairs(handle:read()) do print(event.name, event.mask == inotify.IN_CREATE) end
print(handle:rmwatch(watch))
handle:close()
