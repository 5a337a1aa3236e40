-- Package: liblcm-lua
-- Modules: lcm
-- Luas: 5.2
--
-- Packed values, and messages to itself by memory.
local lcm = require "lcm"
local packed = lcm._pack.pack(">i4s4", 7, "text")
print(#packed, lcm._pack.unpack(">i4s4", packed))
local queue = lcm.lcm.new "memq://"
queue:subscribe("channel", function(channel, text) print(channel, text) end)
queue:publish("channel", "hello")
queue:handle()
