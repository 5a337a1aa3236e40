-- Package: lua-binaryheap
-- Modules: binaryheap
-- Luas: 5.1 5.2 5.3 luajit
--
-- A queue by priority.
local heap = require "binaryheap".minUnique()
for i, value in ipairs { 5, 3, 9, 1 } do heap:insert(value, "payload " .. i) end
heap:update("payload 3", 2)
while heap:peek() do print(heap:pop()) end
