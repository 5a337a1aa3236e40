// A warm state: the Lua state that a warm-up fills, that is sealed when the warm-up has ended, and that each
// launch makes as fresh as lua's where a fresh one matters. These are the steps; what each of them puts right
// has a file of its own.
#pragma once

#include "lua/sealed_heap.h"

struct lua_State;

namespace moonlet::warm {

/// A new state, as luaL_newstate(3) makes it, on the sealed heap where this Lua allows that. `allocate`: one of
/// that heap's functions. Null without memory. At most once in a process.
lua_State* new_state(decltype(heap::allocate)* allocate = heap::allocate);

/// If not null, called when the standard libraries are open.
extern void (*observe_opening)(lua_State* L);

/// Opens the standard libraries in `L` as lua does at its start, and remembers what they were. Raises Lua
/// errors: to be called within a protected call, before anything else but paths::ignore_environment(). At most
/// once in a process.
void open_libraries(lua_State* L);

/// Ends the warm-up: nothing is buffered, no random number taken, the garbage collected, and it is known
/// which file each module came from. Call it before the first launch. `L`'s stack is empty.
void seal(lua_State* L);

/// In a sealed state that was thawed, and whose warm-up goes on, up to another seal(): that takes the modules,
/// the environment and random numbers as they are then, and what was sealed is written to as little as can be.
/// Called after thaw(), instead of freshen().
void unseal(lua_State* L);

/// In a launch, before anything is known of its script: makes fresh what would be fresh in a lua that starts
/// now.
void freshen(lua_State* L);

/// In a launch, with its environment, descriptors and working directory in place, before its script:
/// package.path and package.cpath as lua would have them under that environment (`ignores_environment`: option
/// -E), warm modules dropped where they would come from other files, standard streams as new. Returns null, or
/// what failed, as text that lives until the next call into `L`.
const char* thaw(lua_State* L, bool ignores_environment);

}  // namespace moonlet::warm
