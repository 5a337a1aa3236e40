// math.random: each script draws what it would draw in a fresh lua.
#pragma once

struct lua_State;

namespace moonlet::random_numbers {

/// After luaL_openlibs: remembers math.randomseed itself, whatever the warm-up will do to the table. Raises Lua
/// errors.
void remember(lua_State* L);

/// Before seal(), where a script shall find what lua would have left it: a generator that the warm-up has
/// seeded goes on from there, unless it may be seeded with the time or another random number (`with_entropy`).
/// One that nobody has seeded is as lua's at a start. `libc_is_seeded`: whether srand(3) or srandom(3) was
/// called, which is what math.randomseed does before 5.4. Raises Lua errors, of memory alone.
void go_on(lua_State* L, bool with_entropy, bool libc_is_seeded);

/// Before a warm-up goes on that has been sealed: what it draws counts from here.
void begin_again(lua_State* L);

/// At the seal. Before 5.4 the seed is fixed: forgets what the warm-up has drawn.
void seal(lua_State* L);

/// In a child, before its script. From 5.4 on each lua has a seed of its own: draws one.
void freshen(lua_State* L);

}  // namespace moonlet::random_numbers
