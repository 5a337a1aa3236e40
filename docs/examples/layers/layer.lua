-- moonlet layer.lua SOCKET SCRIPT...: runs the scripts, and serves what they have loaded at SOCKET, on top of the image
-- that has started this script.
local moonlet = require "moonlet"

-- A major collection writes to all of the image below, and what is written to is no longer shared. So there is none while
-- the scripts load; and with the collector stopped, serve has none either. It starts it again.
if _VERSION >= "Lua 5.4" then collectgarbage("generational", 0, 1000) end
for i = 2, #arg do dofile(arg[i]) end
collectgarbage "stop"

assert(moonlet.serve{socket = arg[1], layers = os.getenv "LAYERS_FOLLOW" ~= nil})
moonlet.run()
