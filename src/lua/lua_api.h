// The C API of whichever Lua this build embeds (5.1 to 5.5, LuaJIT), with the few names that differ.
#pragma once

extern "C" {
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
}

#if defined(MOONLET_LUAJIT)
extern "C" {
#include <luajit.h>
}
#endif

// Whether this is 5.1, or LuaJIT, whose lua.c is 5.1's in most.
#if defined(MOONLET_LUAJIT)
#define LIKE_LUA51 1
#else
#define LIKE_LUA51 (LUA_VERSION_NUM == 501)
#endif

#ifndef LUA_OK
#define LUA_OK 0
#endif

// Lua's own calls do longjmp over the frames between an error and its handler: no frame that calls into
// Lua outside of the callee of a protected call may own anything.

namespace moonlet {

/// lua_pop(L, 1): what calls it is shorter.
[[gnu::noinline]] inline void pop(lua_State* L) { lua_settop(L, -2); }

}  // namespace moonlet
