-- Package: lua-socket
-- Modules: socket.http socket.smtp socket.ftp
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A page of a server in a child, and nobody's page. A write to a closed connection is an error, no signal.
local socket, http = require "socket", require "socket.http"
print(http.request "http://127.0.0.1:1/")
local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
local client = assert(socket.connect("127.0.0.1", port))
server:accept():close()
local sent, err
for _ = 1, 100 do
  sent, err = client:send "x"
  if err then break end
  socket.sleep(0.01)
end
print(sent, err)
print(require "socket.smtp".send { from = "<a@b>", rcpt = "<c@d>", source = require "ltn12".source.string "", server = "127.0.0.1", port = 1 })
