-- Package: lua-rrd
-- Modules: rrd
-- Luas: 5.1 5.2 5.3 luajit
--
-- A file of measurements.
local rrd = require "rrd"
rrd.create("x.rrd", "--start", "1000000000", "--step", "60", "DS:x:GAUGE:120:U:U", "RRA:AVERAGE:0.5:1:10")
rrd.update("x.rrd", "1000000060:1", "1000000120:3")
print(rrd.last "x.rrd")
print(pcall(rrd.update, "/nonexistent", "N:1"))
