// moonlet.status and moonlet.reload (docs/lua-api.md).
#pragma once

#include "lua/lua_api.h"

namespace moonlet::module_of_lua {

int status(lua_State* L);
int reload(lua_State* L);

}  // namespace moonlet::module_of_lua
