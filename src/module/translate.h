// Scripts in languages that compile to Lua.
#pragma once

#include "lua/host.h"

namespace moonlet::module_of_lua {

/// Host::load_script, for Fennel (NAME.fnl, the module `fennel`) and MoonScript (NAME.moon, `moonscript.base`).
bool load_translated(lua_State* L, const char* file, Host::Function& message_handler);

}  // namespace moonlet::module_of_lua
