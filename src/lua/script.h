// The script on lua's command line.
#pragma once

struct lua_State;

namespace moonlet::interpreter {

/// Runs the script argv[script], or standard input where that is "-", with the arguments behind it, and prints
/// its error. Returns the status. Raises Lua errors, where lua does.
int run_script(lua_State* L, int argc, char** argv, int script);

}  // namespace moonlet::interpreter
