-- Package: lua-luaossl
-- Modules: openssl openssl.ssl openssl.ssl.context openssl.pkey openssl.x509 openssl.digest openssl.rand openssl.cipher
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A digest, a cipher, a key, a signature, a certificate.
local digest, cipher, rand = require "openssl.digest", require "openssl.cipher", require "openssl.rand"
local pkey, x509, name = require "openssl.pkey", require "openssl.x509", require "openssl.x509.name"
local function hex(text) return (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)) end
print(hex(digest.new "sha256":final "abc"))
print(hex(cipher.new "AES-128-CBC":encrypt(("k"):rep(16), ("i"):rep(16)):final "secret"))
print(#rand.bytes(16), rand.bytes(16) ~= rand.bytes(16))
local key = pkey.new { type = "EC", curve = "prime256v1" }
local signed = digest.new "sha256":update "text"
local signature = key:sign(signed)
print(key:verify(signature, digest.new "sha256":update "text"))
local certificate, subject = x509.new(), name.new()
subject:add("CN", "localhost")
certificate:setSubject(subject)
certificate:setIssuer(subject)
certificate:setPublicKey(key)
certificate:sign(key)
print(tostring(certificate:getSubject()), certificate:isIssuedBy(certificate))
