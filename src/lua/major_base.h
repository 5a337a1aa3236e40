// When Lua's generational collector (5.4) makes its next major collection, which writes to every object: when
// the heap has doubled since the last one, whose size Lua has written down, and gives no access to.
#pragma once

#include <stddef.h>

struct lua_State;

namespace moonlet::major_base {

/// Finds where Lua keeps that size, in a state of its own. False where it does not, and so before 5.4 and
/// after.
bool find();

/// After find() has found it: how many bytes the last major collection of `L`, a main thread, has left.
size_t get(lua_State* L);

/// From here on it has left `size` bytes.
void set(lua_State* L, size_t size);

}  // namespace moonlet::major_base
