-- Package: lua-cqueues
-- Modules: cqueues cqueues.socket cqueues.condition
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A loop with timers, a condition, a pair of sockets and a listener on loopback.
local cqueues, socket = require "cqueues", require "cqueues.socket"
local loop, ready = cqueues.new(), require "cqueues.condition".new()
local a, b = socket.pair()
loop:wrap(function()
  cqueues.sleep(0.05)
  print "timer"
  ready:signal()
end)
loop:wrap(function()
  ready:wait()
  a:write "through the pair\n"
  a:flush()
end)
loop:wrap(function() print(b:read "*l") end)
local listener = socket.listen { host = "127.0.0.1", port = 0 }
local _, _, port = listener:localname()
loop:wrap(function()
  local peer = listener:accept()
  peer:write "hello\n"
  peer:shutdown "w"
end)
loop:wrap(function() print(socket.connect("127.0.0.1", port):read "*l") end)
print(loop:loop())
