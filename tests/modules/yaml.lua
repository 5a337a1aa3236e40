-- Package: lua-yaml
-- Modules: lyaml
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- There and back, and an error.
local lyaml = require "lyaml"
local read = lyaml.load "a: [1, 2.5, true]\nb: {c: text}\n"
print(read.a[2], read.a[3], read.b.c)
io.write(lyaml.dump { { 1, "x", { 2 } } })
print(pcall(lyaml.load, "a: ]"))
