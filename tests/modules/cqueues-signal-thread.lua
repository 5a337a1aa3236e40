-- Package: lua-cqueues
-- Modules: cqueues cqueues.signal cqueues.thread cqueues.notify
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A signal, a thread with a Lua of its own, and a change of a file.
local cqueues, signal = require "cqueues", require "cqueues.signal"
local thread, notify = require "cqueues.thread", require "cqueues.notify"
local loop = cqueues.new()
signal.block(signal.SIGUSR1)
local listener = signal.listen(signal.SIGUSR1)
local watch = notify.opendir "."
watch:add "seen"
loop:wrap(function()
  signal.raise(signal.SIGUSR1)
  print("signal", listener:wait() == signal.SIGUSR1)
  local worker, pipe = thread.start(function(pipe, x)
    pipe:write(("thread says %s\n"):format(x))
  end, "hello")
  print(pipe:read "*l")
  print(worker:join())
  io.open("seen", "w"):close()
  local _, name = watch:get()
  print("notify", name)
end)
print(loop:loop())
