-- Package: lua-system
-- Modules: system
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- Clocks, a wait, a terminal.
local system = require "system"
local before, mono = system.gettime(), system.monotime()
system.sleep(0.02)
print(system.gettime() - before >= 0.019, system.monotime() - mono >= 0.019, math.abs(system.gettime() - os.time()) < 2)
