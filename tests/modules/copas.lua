-- Package: lua-copas
-- Modules: copas
-- Luas: 5.1 5.2 luajit
--
-- A server and a client of one loop, on loopback.
local copas, socket = require "copas", require "socket"
local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
copas.addserver(server, function(peer)
  peer = copas.wrap(peer)
  peer:send("you said " .. peer:receive() .. "\n")
end)
copas.addthread(function()
  local client = socket.tcp()
  assert(copas.connect(client, "127.0.0.1", port))
  copas.send(client, "hello\n")
  print((copas.receive(client)))
  os.exit(0)
end)
copas.loop()
