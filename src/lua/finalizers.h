// What a script leaves to finalize at its end. In Lua 5.4 and later closing a state in generational mode begins
// with a write to every object of the warm heap, and so a copy of each of its pages: a script that leaves
// nothing, or nothing but files, is spared that.
#pragma once

struct lua_State;

namespace moonlet::finalizers {

/// After luaL_openlibs: from here on objects count that get a finalizer (a metatable with __gc). Raises Lua
/// errors.
void watch(lua_State* L);

/// After a full collection at the end of the warm-up: counts those of the warm-up's that are left, and the C
/// libraries that it has loaded. Raises Lua errors.
void seal(lua_State* L);

/// After seal(): the warm-up goes on, up to another seal().
void unseal();

/// After seal(): lua_close it is in any case, because it unloads libraries that have something to do then.
void close_always();

/// At the end of a script in `L`, which was sealed, with nothing of it on the C stack: does what lua_close(3)
/// would do for the script, and returns true, if that is nothing, or to close files in the reverse order of
/// their opening. Else false: a finalizer of the script's own, or a C library that it has loaded, wants
/// lua_close. False too where this Lua gives no way to know: before 5.4, and where the linker has bound its
/// calls of lua_setmetatable within itself.
bool run(lua_State* L);

}  // namespace moonlet::finalizers
