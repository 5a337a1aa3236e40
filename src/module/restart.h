// serve in a lua that is not moonletd.
#pragma once

struct lua_State;

namespace moonlet::module_of_lua {

/// Executes moonletd, found on $PATH, in the place of this lua(1), with the command line of that: its script
/// starts anew there, and comes to the same call. Returns, with nil and why pushed, if that cannot be. Returns
/// the number of results.
int restart_in_moonletd(lua_State* L);

}  // namespace moonlet::module_of_lua
