// math.random: each script draws what it would draw in a fresh lua.
#pragma once

struct lua_State;

namespace moonlet::random_numbers {

/// After luaL_openlibs: remembers math.randomseed itself, whatever the warm-up will do to the table. Raises Lua
/// errors.
void remember(lua_State* L);

/// At the seal. Before 5.4 the seed is fixed: forgets what the warm-up has drawn.
void seal(lua_State* L);

/// In a child, before its script. From 5.4 on each lua has a seed of its own: draws one.
void freshen(lua_State* L);

}  // namespace moonlet::random_numbers
