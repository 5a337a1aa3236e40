-- Package: lua-filesystem
-- Modules: lfs
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A directory, its entries, a lock, a link.
local lfs = require "lfs"
assert(lfs.mkdir "d")
assert(lfs.touch or true)
for _, name in ipairs { "b", "a" } do io.open("d/" .. name, "w"):close() end
local names = {}
for name in lfs.dir "d" do names[#names + 1] = name end
table.sort(names)
print(table.concat(names, " "), lfs.attributes("d", "mode"), lfs.attributes "none")
print(lfs.link("a", "d/link", true), lfs.symlinkattributes("d/link", "mode"))
print(lfs.chdir "d", lfs.currentdir():match "[^/]*$")
local file = io.open("a", "w")
print(lfs.lock(file, "w"), lfs.unlock(file), lfs.setmode(file, "binary"))
print(lfs.rmdir "none")
