#include "lua/arguments.h"

#include "lua/lua_api.h"

namespace moonlet::arguments {

namespace {

// Reference in the registry: table with weak values, at 1 the warm-up's `arg`, while somebody holds it. 0: not
// made yet.
int held = 0;

const void* metatable_at_seal = nullptr;  // of the table of globals

void push_globals(lua_State* L) {
#if LUA_VERSION_NUM >= 502
  lua_pushglobaltable(L);
#else
  lua_pushvalue(L, LUA_GLOBALSINDEX);
#endif
}

const void* metatable_of_globals(lua_State* L) {
  const int top = lua_gettop(L);
  push_globals(L);
  const void* metatable = lua_getmetatable(L, -1) != 0 ? lua_topointer(L, -1) : nullptr;
  lua_settop(L, top);
  return metatable;
}

// Of the table on top of the stack.
void hold_weakly(lua_State* L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, 1);
  held = luaL_ref(L, LUA_REGISTRYINDEX);
}

// The table on top of the stack, and its metatable.
void clear(lua_State* L) {
  lua_pushnil(L);
  lua_setmetatable(L, -2);
  for (lua_pushnil(L); lua_next(L, -2) != 0;) {
    pop(L);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
}

// Pushes the table, empty. `positive` and `other`: how many entries it will get (lua_createtable).
void push_empty(lua_State* L, int positive, int other) {
  if (held == 0) {
    lua_createtable(L, positive, other);
    hold_weakly(L);
    return;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, held);
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return clear(L);
  pop(L);
  lua_createtable(L, positive, other);
}

}  // namespace

void push(lua_State* L, int argc, char** argv, int script) {
  push_empty(L, argc > script ? argc - script - 1 : 0, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
}

void set(lua_State* L) {
  push_globals(L);
  lua_pushliteral(L, "arg");
  lua_pushvalue(L, -3);
  if (metatable_of_globals(L) == metatable_at_seal) {
    lua_rawset(L, -3);
  } else {
    lua_settable(L, -3);
  }
  lua_pop(L, 2);
}

bool is_replaced(lua_State* L) {
  const int top = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, held);
  lua_rawgeti(L, -1, 1);
  push_globals(L);
  lua_pushliteral(L, "arg");
  lua_rawget(L, -2);
  const bool is_replaced = lua_istable(L, top + 2) && lua_rawequal(L, top + 2, -1) == 0;
  lua_settop(L, top);
  return is_replaced;
}

void seal(lua_State* L) {
  metatable_at_seal = metatable_of_globals(L);
  lua_pushnil(L);
  set(L);
}

void unseal(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, held);
  lua_rawgeti(L, -1, 1);
  const bool is_held = lua_istable(L, -1);
  lua_pop(L, 2);
  if (is_held) return;
  luaL_unref(L, LUA_REGISTRYINDEX, held);
  held = 0;
}

void empty(lua_State* L) {
  push_empty(L, 0, 0);
  pop(L);
}

}  // namespace moonlet::arguments
