-- Package: lua-ljsyscall
-- Modules: syscall
-- Luas: luajit
--
-- Files by LuaJIT's FFI.
local S = require "syscall"
print(S.getpid() > 1, S.mkdir "d", S.stat("d").isdir)
local fd = S.open("d/f", "creat, wronly", "0600")
print(fd:write "text", fd:close(), S.stat("d/f").size)
print(S.open("/nonexistent", "rdonly"))
