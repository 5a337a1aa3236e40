-- warm-heap.lua MEGABYTES: a warm-up that fills a global table with small tables and strings until Lua's heap has
-- that size, what is garbage in it not counted.
local wanted = tonumber(arg[1]) * 1024
warm = {}
repeat
  for _ = 1, 256 do
    local n = #warm + 1
    warm[n] = {number = n, name = "item " .. n, list = {n, n + 1}}
  end
  if collectgarbage("count") >= wanted then collectgarbage() end
until collectgarbage("count") >= wanted
