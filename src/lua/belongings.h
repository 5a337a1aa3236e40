// What the loading of a module has set beside its own value: globals, fields of the standard libraries, entries
// of package.loaded and package.preload, metatables of these. Where a script gets another module of that name,
// it goes with it.
#pragma once

struct lua_State;

namespace moonlet::belongings {

/// After luaL_openlibs: what there is now is nobody's. Raises Lua errors.
void watch(lua_State* L);

/// In the warm-up: what has been set since the last call belongs to the module of that number (lua/needs.h).
/// What is set in package.loaded is a module that it needs. Raises Lua errors.
void note(lua_State* L, int module);

/// In a script: what belongs to those modules is as it was before their loading, unless somebody has set it to
/// something else. Raises Lua errors.
void take_away(lua_State* L, bool (*is_theirs)(int module));

}  // namespace moonlet::belongings
