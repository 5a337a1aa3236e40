-- A warm-up: what the program luacheck loads.
local modules = {"argparse", "luacheck", "luacheck.cache", "luacheck.check", "luacheck.config", "luacheck.format",
  "luacheck.multithreading", "luacheck.profiler", "luacheck.runner", "luacheck.utils", "luacheck.version"}
for _, name in ipairs(modules) do require(name) end
