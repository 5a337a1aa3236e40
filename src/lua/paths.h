// package.path and package.cpath: what Lua makes of the environment, and makes anew where a script has another.
#pragma once

struct lua_State;

namespace moonlet::paths {

/// Makes the libraries of `L` ignore the environment, as -E does: before they are opened. Raises Lua errors.
void ignore_environment(lua_State* L);

/// Remembers the environment that the paths of `L` are made from: before its libraries are opened. Raises
/// Lua errors.
void remember_environment(lua_State* L);

/// Whether the paths would be made from another environment now. `ignores_environment`: option -E.
bool has_other_environment(bool ignores_environment);

/// Sets the fields of the table `package`, at that index of the stack of `L`, to what this Lua makes of the
/// environment now. `changed`: becomes true if that differs from before. Returns false without
/// memory. Raises Lua errors.
bool renew(lua_State* L, int package, bool ignores_environment, bool& changed);

/// In a child: tells libraries that it will load whether they shall ignore the environment. Raises Lua errors.
void tell_libraries(lua_State* L, bool ignores_environment);

}  // namespace moonlet::paths
