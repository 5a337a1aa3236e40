// How lua calls whatever it runs.
#pragma once

struct lua_State;

namespace moonlet::interpreter {

/// Calls the function below `arguments` arguments (lua_pcall). An error has gone through message_handler, and
/// SIGINT is an error meanwhile. Returns the status.
int call(lua_State* L, int arguments, int results);

}  // namespace moonlet::interpreter
