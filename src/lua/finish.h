// The end of a script: finalizers run in lua's order, and the heap goes with the process.
#pragma once

struct lua_State;

namespace moonlet::warm {

/// Makes the object of `L` that is finalized after all others, because it is the first: call it before anything
/// else in a new state. Raises Lua errors.
void make_last_object(lua_State* L);

/// Ends a script: runs what lua_close(3) would run of the script's and the libraries' code, then calls
/// exit(3) with `status`, without freeing the heap.
[[noreturn]] void finish(lua_State* L, int status);

}  // namespace moonlet::warm
