-- Package: lua-sec
-- Modules: ssl socket
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- TLS with itself on loopback: two processes, each with its end.
local socket, ssl = require "socket", require "ssl"
assert(os.execute "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -subj /CN=localhost -days 2 2>/dev/null")
local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
local client = socket.tcp()
client:settimeout(0)
client:connect("127.0.0.1", port)
local accepted = assert(server:accept())
accepted:settimeout(0)
local a = assert(ssl.wrap(accepted, { mode = "server", protocol = "any", key = "key", certificate = "certificate" }))
local b = assert(ssl.wrap(client, { mode = "client", protocol = "any", verify = "peer", cafile = "certificate" }))
a:settimeout(0)
b:settimeout(0)
local done_a, done_b
repeat
  done_a, done_b = done_a or a:dohandshake(), done_b or b:dohandshake()
until done_a and done_b
print(a:info "protocol", b:info "cipher" == a:info "cipher", b:getpeercertificate():subject()[1].value)
print(b:send "question\n")
a:settimeout(5)
print(a:receive())
print(a:send "answer\n")
b:settimeout(5)
print(b:receive())
b:close()
print(a:receive())
