-- Package: lua-geoip
-- Modules: geoip geoip.country
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- The database of countries that its package brings, or its error.
local geoip, country = require "geoip", require "geoip.country"
print(geoip.name_by_id and geoip.name_by_id(1), geoip.lib_version ~= nil)
local db, message = country.open "/usr/share/GeoIP/GeoIP.dat"
print(db and db:query_by_addr "8.8.8.8" and db:query_by_addr("8.8.8.8", "code") or message)
print(country.open "/nonexistent")
