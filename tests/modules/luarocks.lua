-- Package: luarocks
-- Modules: luarocks.core.cfg luarocks.fs luarocks.search luarocks.manif luarocks.persist
-- Luas: 5.1 5.2 5.3 5.4
--
-- A tree with one rock, found by its version.
local cfg = require "luarocks.core.cfg"
print(cfg.init { lua_version = _VERSION:match "%d.%d" })
local fs, persist, vers, dir = require "luarocks.fs", require "luarocks.persist", require "luarocks.core.vers", require "luarocks.dir"
fs.init()
print(vers.compare_versions("1.10-1", "1.9-3"), vers.match_constraints(vers.parse_version "1.2", require "luarocks.queries".from_dep_string "x >= 1.1".constraints))
print(dir.path("a", "b", "c"), fs.exists ".", fs.is_dir "/nonexistent")
print(persist.save_from_table("x-1-1.rockspec", { package = "x", version = "1-1", source = { url = "." } }))
print(require "luarocks.fetch".load_local_rockspec("x-1-1.rockspec", true).name)
