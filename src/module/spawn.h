// moonlet.spawn (docs/lua-api.md).
#pragma once

struct lua_State;

namespace moonlet::module_of_lua {

int spawn(lua_State* L);

}  // namespace moonlet::module_of_lua
