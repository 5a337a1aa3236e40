-- Package: lua-luaossl
-- Modules: openssl.ssl.context cqueues.socket
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- TLS with itself, by cqueues.
local cqueues, socket = require "cqueues", require "cqueues.socket"
local context, pkey, x509, name = require "openssl.ssl.context", require "openssl.pkey", require "openssl.x509", require "openssl.x509.name"
local key = pkey.new { type = "RSA", bits = 2048 }
local certificate, subject = x509.new(), name.new()
subject:add("CN", "localhost")
certificate:setSubject(subject)
certificate:setIssuer(subject)
certificate:setPublicKey(key)
certificate:setLifetime(os.time() - 3600, os.time() + 3600)
certificate:sign(key, "sha256")
local server = context.new("TLS", true)
server:setCertificate(certificate)
server:setPrivateKey(key)
local loop = cqueues.new()
local a, b = socket.pair()
loop:wrap(function()
  print("server", a:starttls(server) == a)
  print(a:read "*l")
  a:write "answer\n"
  a:flush()
end)
loop:wrap(function()
  print("client", b:starttls(context.new("TLS", false)) == b)
  b:write "question\n"
  b:flush()
  print(b:read "*l")
end)
print(loop:loop())
