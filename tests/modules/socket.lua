-- Package: lua-socket
-- Modules: socket socket.url mime ltn12 socket.unix
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A server and a client on loopback, datagrams, select, names, filters.
local socket, url, mime, ltn12 = require "socket", require "socket.url", require "mime", require "ltn12"
local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
local client = assert(socket.connect("127.0.0.1", port))
local peer = server:accept()
client:send "hello\nrest"
print(peer:receive(), #socket.select({ peer }, nil, 1))
client:close()
print(peer:receive "*l")
peer:close()
local udp = socket.udp()
udp:setsockname("127.0.0.1", 0)
udp:sendto("datagram", udp:getsockname())
print((udp:receivefrom()))
print(socket.dns.toip "localhost" ~= nil, socket.connect("127.0.0.1", 1))
print(url.parse("http://u@h:1/p?q").host, mime.b64 "text", (mime.qp "\228"))
local parts = {}
ltn12.pump.all(ltn12.source.string "text", ltn12.sink.chain(mime.encode "base64", (ltn12.sink.table(parts))))
print(table.concat(parts))
local before = socket.gettime()
socket.sleep(0.02)
print(socket.gettime() - before >= 0.02)
