// Which Lua a script asks for.
#pragma once

namespace moonlet::client {

/// If $MOONLET_VERBOSE is 1: says so where the first line of the script that the command line `argv` (lua's)
/// names asks for another Lua than this moonlet's. The script runs all the same, as `lua SCRIPT` would.
void tell_of_first_line(char** argv);

}  // namespace moonlet::client
