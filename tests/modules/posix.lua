-- Package: lua-posix
-- Modules: posix
-- Luas: 5.1 5.2 5.3 luajit
--
-- A child, a pipe, a signal, a directory, a time limit.
local posix = require "posix"
local reader, writer = posix.pipe()
io.flush()
local pid = posix.fork()
if pid == 0 then
  posix.write(writer, "from the child")
  posix._exit(3)
end
print(posix.read(reader, 100))
print(select(2, posix.wait(pid)))
posix.signal(posix.SIGUSR1, function() print "signal" end)
posix.kill(posix.getpid "pid", posix.SIGUSR1)
print(posix.stat(".").type, posix.mkdir "d", posix.access("d", "w"), posix.errno())
print(posix.getcwd():match "[^/]*$", posix.isatty(0), posix.setenv("X", "y"), os.getenv "X", posix.umask "022")
print(posix.strptime("2020-01-02", "%Y-%m-%d").year)
