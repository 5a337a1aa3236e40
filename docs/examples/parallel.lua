-- parallel.lua N SCRIPT...: runs the scripts, N at a time, and says how each has ended. Fails if one has failed.
local moonlet = require "moonlet"

local at_once = tonumber(arg[1])
if not at_once or at_once < 1 then
  io.stderr:write "usage: parallel.lua N SCRIPT...\n"
  os.exit(2)
end
local running, failed = {}, false

local function wait_for_oldest()
  local oldest = table.remove(running, 1)
  local ok, what, code = oldest.handle:wait()
  print(("%s: %s %d"):format(oldest.name, what, code or 0))
  failed = failed or not ok
end

for i = 2, #arg do
  if #running == at_once then wait_for_oldest() end
  local handle = assert(moonlet.spawn{arg[i], stdin = "null"})
  running[#running + 1] = {name = arg[i], handle = handle}
end
while #running > 0 do wait_for_oldest() end
os.exit(failed and 1 or 0)
