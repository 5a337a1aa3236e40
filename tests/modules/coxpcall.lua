-- Package: lua-coxpcall
-- Modules: coxpcall
-- Luas: 5.1 5.2 5.3 luajit
--
-- An error passes a yield.
local coxpcall = require "coxpcall"
local co = coroutine.create(function()
  return coxpcall.pcall(function()
    coroutine.yield "yielded"
    error("caught", 0)
  end)
end)
print(coroutine.resume(co))
print(coroutine.resume(co))
