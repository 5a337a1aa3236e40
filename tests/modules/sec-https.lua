-- Package: lua-sec
-- Modules: ssl.https
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- Nobody listens: its error.
local https = require "ssl.https"
print(https.request { url = "https://127.0.0.1:1/" })
