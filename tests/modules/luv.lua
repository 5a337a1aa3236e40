-- Package: lua-luv
-- Modules: luv
-- Luas: 5.1 5.2 5.3 5.4 luajit
-- Cold: it leaves descriptors open
--
-- A loop with a timer, a child and its output, a server on loopback, and work of the pool of threads.
local uv = require "luv"
local timer = uv.new_timer()
timer:start(20, 0, function() print "timer" timer:close() end)
uv.run()
local out = uv.new_pipe(false)
local child
child = uv.spawn("sh", { args = { "-c", "echo from the child; exit 3" }, stdio = { nil, out, 2 } }, function(status, signal)
  print("child", status, signal)
  child:close()
end)
local text = ""
out:read_start(function(err, part) assert(not err) if part then text = text .. part else out:close() end end)
uv.run()
io.write(text)
local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(8, function()
  local peer = uv.new_tcp()
  server:accept(peer)
  peer:write("hello", function() peer:close() server:close() end)
end)
local client = uv.new_tcp()
client:connect("127.0.0.1", server:getsockname().port, function(err)
  assert(not err, err)
  client:read_start(function(_, part) if part then print("server says", part) else client:close() end end)
end)
uv.run()
uv.queue_work(uv.new_work(function(a, b) return a * b end, function(product) print("work", product) end), 6, 7)
uv.run()
print(uv.fs_stat ".".type, select(2, uv.fs_stat "/nonexistent"))
