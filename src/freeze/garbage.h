// What a warm-up on top of another has dropped and Lua has not collected: where a collection of all would write
// to the pages of the image below (lua/collector.h).
#pragma once

struct lua_State;

namespace moonlet::freeze {

/// After the seal: zeroes the texts of strings that nobody can reach any more, so that the image does not tell
/// them. A copy of this process finds out which these are. `L`: the sealed state. Where there is no memory for
/// it they stay.
void forget_garbage(lua_State* L);

}  // namespace moonlet::freeze
