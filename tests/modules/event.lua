-- Package: lua-event
-- Modules: luaevent.core
-- Luas: 5.1 5.2 5.3 5.4 luajit
-- Cold: it leaves descriptors open
--
-- A loop with a timer and a pair of sockets.
local core = require "luaevent.core"
local base = core.new()
local left = 3
base:addevent(nil, core.EV_TIMEOUT, function()
  left = left - 1
  print("timer", left)
  return left == 0 and core.LEAVE or core.EV_TIMEOUT, 0.02
end, 0.02)
print(base:loop())
