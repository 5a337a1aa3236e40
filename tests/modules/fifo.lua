-- Package: lua-fifo
-- Modules: fifo
-- Luas: 5.1 5.2 luajit
--
-- A queue.
local fifo = require "fifo"
local queue = fifo(1, 2)
queue:push(3)
queue:insert(1, 0)
print(queue:pop(), queue:pop(), queue:peek(), queue:length())
