// Lua's warnings (5.4 and later).
#pragma once

struct lua_State;

namespace moonlet::warnings {

/// Has `L`, which was not made by luaL_newstate(3), warn as if it were: off at first. Nothing before 5.4.
void install(lua_State* L);

/// Option -W. Nothing before 5.4.
void switch_on(lua_State* L);

/// In a launch: -W was the warm-up's own. What its modules have switched stays. Nothing before 5.4.
void freshen(lua_State* L);

}  // namespace moonlet::warnings
