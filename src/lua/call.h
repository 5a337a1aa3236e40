// Calls of what a user gave lua to run.
#pragma once

struct lua_State;

namespace moonlet::interpreter {

/// Calls the function below `arguments` arguments, and returns the status (lua_pcall). Errors go through
/// message_handler. Meanwhile SIGINT is an error.
int call(lua_State* L, int arguments, int results);

}  // namespace moonlet::interpreter
