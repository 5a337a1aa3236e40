-- Package: lua-guestfs
-- Modules: guestfs
-- Luas: 5.1 5.2 5.3 5.4 luajit
-- Cold: it reads files that are never the same
--
-- A handle that is not launched.
local guestfs = require "guestfs"
local handle = guestfs.create()
print(handle:get_verbose(), pcall(handle.add_drive, handle, "/nonexistent"))
