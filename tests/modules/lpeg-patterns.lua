-- Package: lua-lpeg-patterns
-- Modules: lpeg_patterns.uri lpeg_patterns.IPv4 lpeg_patterns.email
-- Luas: 5.1 5.2 luajit
--
-- A URI, an address and a mail address.
local uri = require "lpeg_patterns.uri".uri:match "http://user@example.com:80/path?q#f"
print(uri.host, uri.port, uri.path)
print(tostring(require "lpeg_patterns.IPv4".IPv4address:match "127.0.0.1"))
print(require "lpeg_patterns.email".mailbox:match "a@example.com" ~= nil)
