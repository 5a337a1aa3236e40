-- Package: lua-nvim
-- Modules: nvim.session nvim.child_process_stream
-- Luas: 5.1 5.2 5.3 luajit
-- Cold: it leaves descriptors open
--
-- A child that speaks no MessagePack and ends.
local stream = require "nvim.child_process_stream".spawn { "/bin/echo", "text" }
print(type(require "nvim.session".new))
stream:read_start(function(text) print(text) end, function() print "end" end)
require "luv".run()
