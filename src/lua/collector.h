// The garbage collector: as lua has it for a script, and kept off the warm heap, whose pages it would copy.
#pragma once

struct lua_State;

namespace moonlet::collector {

/// Leaves the collector in its incremental mode, where lua would enter the generational one (5.4 and later). To
/// be called before start().
void use_incremental();

/// Before the libraries are opened: no collection while they are, where lua has none.
void hold(lua_State* L);

/// After the libraries are opened: the collector is as lua has it for a script.
void start(lua_State* L);

/// Before the seal: whether what is sealed is to have more on top of it, another image or a layer, which shall
/// share as much of it as it can. That takes a little memory.
void expect_more(bool expected);

/// In a child that becomes a zygote itself: what was in use at the last seal lies in the image below.
void unseal();

/// Before a warm-up goes on in a sealed state: puts off major collections, which write to all that was sealed.
void go_on(lua_State* L);

/// At the end of a warm-up: collects garbage, after go_on() only what is new, and runs finalizers.
void collect_garbage(lua_State* L);

/// At the seal: collects all garbage, after go_on() only what is new where that can be told. Runs finalizers.
/// Where the collector is generational, what is left is old afterwards: a script's collections neither visit
/// nor write it.
void collect(lua_State* L);

/// At the end of the seal: remembers how much is in use.
void seal(lua_State* L);

}  // namespace moonlet::collector
