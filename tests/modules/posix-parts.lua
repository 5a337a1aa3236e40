-- Package: lua-posix
-- Modules: posix.unistd posix.sys.socket posix.sys.wait posix.poll posix.fcntl posix.pwd posix.termio
-- Luas: 5.1 5.2 5.3 luajit
--
-- A pair of sockets, poll, locks, a user.
local unistd, socket, poll = require "posix.unistd", require "posix.sys.socket", require "posix.poll"
local a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM, 0)
print(unistd.write(a, "text"), poll.rpoll(b, 1000), unistd.read(b, 10))
local fcntl = require "posix.fcntl"
local fd = fcntl.open("f", fcntl.O_CREAT + fcntl.O_RDWR, 384)
print(fcntl.fcntl(fd, fcntl.F_SETLK, { l_type = fcntl.F_WRLCK, l_whence = fcntl.SEEK_SET, l_start = 0, l_len = 0 }))
print(require "posix.pwd".getpwuid(unistd.getuid()).pw_uid == unistd.getuid(), require "posix.termio".tcgetattr(0))
