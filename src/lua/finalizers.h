// Whether a script has anything to finalize at its end. In Lua 5.4 and later closing a state in generational
// mode begins with a write to every object of the warm heap, and so a copy of each of its pages: a script that
// has no finalizer to run is spared that.
#pragma once

struct lua_State;

namespace moonlet::finalizers {

/// After luaL_openlibs: from here on objects count that get a finalizer (a metatable with __gc).
void watch(lua_State* L);

/// After a full collection at the end of the warm-up: counts those of the warm-up's that are left, and the C
/// libraries that it has loaded. Raises Lua errors.
void seal(lua_State* L);

/// Whether lua_close(3) has something to run in `L` that was sealed: a finalizer, or the end of a C library
/// that the script has loaded. Always true where this Lua gives no way to know: before 5.4, and where the
/// linker has bound its calls of lua_setmetatable within itself.
bool are_pending(lua_State* L);

}  // namespace moonlet::finalizers
