// The garbage collector: as lua has it for a script, and kept off the warm heap, whose pages it would copy.
#pragma once

struct lua_State;

namespace moonlet::collector {

/// Before the libraries are opened: no collection while they are, where lua has none.
void hold(lua_State* L);

/// After the libraries are opened: the collector is as lua has it for a script.
void start(lua_State* L);

/// Collects all garbage, after go_on() only what is new where that can be told, and leaves a collector that the
/// warm-up has stopped as it is. Runs finalizers.
void collect_garbage(lua_State* L);

/// At the seal: likewise. Where the collector is generational, what is left is old afterwards: a script's
/// collections neither visit nor write it.
void collect(lua_State* L);

/// After collect(): whether what was dropped since go_on(), and had got old, is still there.
bool has_left_garbage();

/// Before a warm-up goes on in a sealed state: puts off what writes to all that was sealed, major collections
/// and the growth of the table of strings.
void go_on(lua_State* L);

}  // namespace moonlet::collector
