-- Package: lua-event
-- Modules: luaevent
-- Luas: 5.1 5.2 5.3 5.4 luajit
-- Cold: it leaves descriptors open
--
-- A server and a client of one loop, on loopback.
local luaevent, socket = require "luaevent", require "socket"
local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
luaevent.addserver(server, function(peer)
  peer = luaevent.wrap(peer)
  peer:send("you said " .. peer:receive() .. "\n")
  peer:close()
end)
luaevent.addthread(function()
  local peer = luaevent.wrap(socket.tcp())
  peer:connect("127.0.0.1", port)
  peer:send "hello\n"
  print((peer:receive()))
  os.exit(0)
end)
luaevent.loop()
