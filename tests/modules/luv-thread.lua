-- Package: lua-luv
-- Modules: luv
-- Luas: 5.1 5.2 5.3 5.4 luajit
-- Cold: it leaves descriptors open
--
-- A thread with a Lua of its own, a signal, a change of a file.
local uv = require "luv"
local thread = uv.new_thread(function(name) io.write("thread ", name, "\n") io.flush() end, "one")
print(thread:join())
local signal = uv.new_signal()
signal:start("sigusr1", function(name) print(name) signal:close() end)
os.execute "kill -USR1 $PPID"
uv.run()
local event = uv.new_fs_event()
event:start(".", {}, function(_, name) print("changed", name) event:close() end)
io.open("new", "w"):close()
uv.run()
