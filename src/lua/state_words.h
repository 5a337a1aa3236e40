// Words of a Lua state that Lua gives no access to. Where they lie is found by experiment, in a state that is
// made for it: what is a plausible word there, and the only one, is taken. Where none is found nothing is lost
// but pages that an image could have had from the one below.
#pragma once

#include <stddef.h>

struct lua_State;

namespace moonlet::state_words {

/// Looks for all of them.
void find();

/// How many bytes the last major collection of Lua's generational collector has left: the next one comes when
/// the heap has doubled since then (5.4). `L`: a main thread. Null: not known.
size_t* collected(lua_State* L);

/// How many strings Lua's table of strings has, and behind that for how many it has been made: when there are
/// as many it grows. Null: not known.
int* strings(lua_State* L);

}  // namespace moonlet::state_words
