// Lua's warnings (5.4 and later).
#pragma once

struct lua_State;

namespace moonlet::warnings {

/// Has `L`, which was not made by luaL_newstate(3), warn as if it were: off at first. Nothing before 5.4.
void install(lua_State* L);

/// Switches the warnings of `L` off, whatever the warm-up has done. Nothing before 5.4.
void switch_off(lua_State* L);

}  // namespace moonlet::warnings
