-- Package: lua-redis
-- Modules: redis
-- Luas: 5.1 5.2 5.3 luajit
--
-- No server: its error.
print(pcall(require "redis".connect, "127.0.0.1", 1))
