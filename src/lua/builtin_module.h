// The Lua module that moonletd has in itself: require "moonlet" where package.path and package.cpath lead to
// none.
#pragma once

struct lua_State;

namespace moonlet {

/// Has the last of package.searchers find the module when it finds none itself. So a module of that name in a
/// file comes first, as under lua, and neither package.preload nor the number of searchers differs from lua's.
/// Raises Lua errors.
void add_builtin_module(lua_State* L);

}  // namespace moonlet
