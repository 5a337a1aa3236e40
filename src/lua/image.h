// The warm image: what the warm-up has loaded, sealed for the children, and made fresh again in each of
// them where a fresh lua would be fresh.
#pragma once

struct lua_State;

namespace moonlet::image {

/// A new state, as luaL_newstate(3) makes it, on the sealed heap where this Lua allows that. Null without
/// memory. At most once in a process.
lua_State* new_state();

/// Leaves the collector in its incremental mode, where lua would enter the generational one (5.4 and later). To
/// be called before open_libraries().
void use_incremental_collector();

/// Makes the object of `L` that is finalized after all others, because it is the first: call it before anything
/// else in a new state. Raises Lua errors. See finish().
void make_last_object(lua_State* L);

/// Ends a script: runs what lua_close(3) would run of the script's and the libraries' code, then calls
/// exit(3) with `status`, without freeing a heap that goes with the process anyway.
[[noreturn]] void finish(lua_State* L, int status);

/// Makes the libraries of `L` ignore the environment, as -E does. Raises Lua errors.
void ignore_environment(lua_State* L);

/// Opens the standard libraries in `L` as lua does at its start, and remembers what they were. Raises Lua
/// errors: to be called within a protected call. At most once in a process.
void open_libraries(lua_State* L);

/// Sets a global variable as lua does before any script: metatables that the warm-up gave to the table of
/// globals (strict.lua and the like) have no say; one that this launch has set does. Pops the value.
void set_global(lua_State* L, const char* name);

/// Pushes the table that shall be the global `arg`, empty: a new one, but where a module that the warm-up
/// loaded holds the warm-up's own (argparse does), that one, so that the module sees each script's
/// arguments. `positive` and `other`: how many entries it will get (lua_createtable).
void push_argument_table(lua_State* L, int positive, int other);

/// In the message handler of an error: forgets the modules that `require` is loading, which have not come to
/// their end.
void drop_unfinished(lua_State* L);

/// In a child that becomes a zygote itself, before it seals its image: what its script has loaded counts too,
/// under the environment that it has.
void unseal(lua_State* L);

/// Before the seal: whether the image that it makes is to have layers on it, which shall share as much of it as
/// they can. That takes a little memory.
void expect_layers(bool expected);

/// Ends the warm-up: nothing is buffered, no random number taken, the garbage collected, and it is known
/// which file each module came from. Call it before the first fork. `L`'s stack is empty.
void seal(lua_State* L);

/// After the seal: the name of a module that was found through a relative entry of the path, so that a script
/// in another directory finds another or none; null if there is none. It lives as long as the process.
const char* relative_module();

/// After the seal, in a child: writes to `connection` how large the image is and which modules are in it, as
/// status requests have it (protocol/status.h). Runs no Lua.
void describe(lua_State* L, int connection);

/// In a child, before anything is known of its script: makes fresh what would be fresh in a lua that starts
/// now, and takes the page faults that any script would.
void freshen(lua_State* L);

/// In a child that has time: loads and runs an empty file, for the page faults of that.
void rehearse(lua_State* L);

/// In a child, with its environment and working directory in place, before its script: package.path and
/// package.cpath as lua would have them under the child's environment (`ignores_environment`: option
/// -E), warm modules dropped where they would come from other files, standard streams as new. Returns null, or
/// what failed, as text that lives until the next call into `L`.
const char* thaw(lua_State* L, bool ignores_environment);

}  // namespace moonlet::image
