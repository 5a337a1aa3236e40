-- Package: lua-lxc
-- Modules: lxc
-- Luas: 5.2
--
-- Its version, and a container that is not there.
local lxc = require "lxc"
print(type(lxc.version_get()), type(lxc.default_config_path_get()))
local container = lxc.container:new "none"
print(container and container:defined())
