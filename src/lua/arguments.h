// The global `arg`.
#pragma once

struct lua_State;

namespace moonlet::arguments {

/// Pushes the table that shall be `arg`: the `argc` texts of `argv`, with argv[script] at index 0. It is a new
/// table, but where a module that the warm-up loaded holds the warm-up's own (argparse does), it is that one,
/// so that the module sees each script's arguments. Raises Lua errors.
void push(lua_State* L, int argc, char** argv, int script);

/// Makes the value on top of the stack the global `arg`, and pops it. As in lua, where nothing runs before
/// that, metatables that the warm-up gave to the table of globals (strict.lua and the like) have no say; one
/// that this launch has set does. Raises Lua errors.
void set(lua_State* L);

/// In a script, whether a module holds the table that push() has filled, and the global `arg` is another one.
/// Raises Lua errors.
bool is_replaced(lua_State* L);

/// At the seal, before the collection: takes the warm-up's `arg` away.
void seal(lua_State* L);

/// In a sealed state whose warm-up goes on: if nobody holds the `arg` of the warm-up so far, the next one
/// counts.
void unseal(lua_State* L);

/// At the seal, after the collection: empties the warm-up's `arg`, should somebody still hold it. It would be
/// taken for a script's.
void empty(lua_State* L);

}  // namespace moonlet::arguments
