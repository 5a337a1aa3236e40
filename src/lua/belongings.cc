#include "lua/belongings.h"

#include "lua/lua_api.h"
#include "lua/modules.h"
#include "lua/needs.h"

namespace moonlet::belongings {

namespace {

// In the registry: a list that has for each table that is watched these, one after another.
int watched = 0;
enum : int {
  kTable = 1,
  kKnown,     // a copy of it, as note() has last seen it
  kOwner,     // from its keys to the number of the module that has set them
  kPrevious,  // from its keys to what was there before
  kEach = kPrevious
};

// The first table holds the metatables of all others, at the index where these are in the list; the second one
// is package.loaded.
constexpr int kMetatables = 0;
constexpr int kLoaded = kEach;

int end = 0;  // of the list

// Appends the table on top of the stack, and pops it.
void add(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, watched);
  lua_insert(L, -2);
  for (int part = kTable;; part++) {
    lua_rawseti(L, -2, end + part);
    if (part == kEach) break;
    lua_newtable(L);
  }
  end += kEach;
  pop(L);
}

// Pushes the table at `at`, and what is known of it. Returns the index of the first.
int push(lua_State* L, int at) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, watched);
  const int list = lua_gettop(L);
  for (int part = kTable; part <= kEach; part++) lua_rawgeti(L, list, at + part);
  lua_remove(L, list);
  return list;
}

// Calls visit(list, at) with each watched table on top of the stack; list[at], at that index, is for its
// metatable.
template <typename Visit>
void for_each_metatable(lua_State* L, const Visit& visit) {
  const int top = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, watched);
  lua_rawgeti(L, top + 1, kMetatables + kTable);
  for (int at = kLoaded; at < end; at += kEach, lua_settop(L, top + 2)) {
    lua_rawgeti(L, top + 1, at + kTable);
    visit(top + 2, at);
  }
  lua_settop(L, top);
}

void look_at_metatables(lua_State* L) {
  for_each_metatable(L, [L](int list, int at) {
    if (lua_getmetatable(L, -1) == 0) lua_pushnil(L);
    lua_rawseti(L, list, at);
  });
}

void set_metatables(lua_State* L) {
  for_each_metatable(L, [L](int list, int at) {
    lua_rawgeti(L, list, at);
    lua_setmetatable(L, -2);
  });
}

// table[key] of the table at `table` and the key at `key`, pushed.
void get(lua_State* L, int table, int key) {
  lua_pushvalue(L, key);
  lua_rawget(L, table);
}

// table[key] = the value on top of the stack, which is popped.
void set(lua_State* L, int table, int key) {
  lua_pushvalue(L, key);
  lua_insert(L, -2);
  lua_rawset(L, table);
}

// The key at `key` of the table that push() has put at `first` has the value on top of the stack now. Pops it.
void change(lua_State* L, int first, int key, int module) {
  get(L, first + kOwner - 1, key);
  const bool was_its_own = lua_isnumber(L, -1) != 0 && lua_tointeger(L, -1) == module;
  pop(L);
  if (!was_its_own) {
    if (module != 0) {  // what belongs to nobody stays
      get(L, first + kKnown - 1, key);
      set(L, first + kPrevious - 1, key);
    }
    lua_pushinteger(L, module);
    set(L, first + kOwner - 1, key);
  }
  set(L, first + kKnown - 1, key);
}

void note_in(lua_State* L, int at, int module) {
  const int first = push(L, at);
  const int key = first + kEach;
  for (lua_pushnil(L); lua_next(L, first) != 0; lua_settop(L, key)) {
    get(L, first + kKnown - 1, key);
    if (lua_rawequal(L, -1, -2) != 0) continue;
    pop(L);
    change(L, first, key, module);
    if (at == kLoaded && lua_type(L, key) == LUA_TSTRING)
      needs::add_need(module, needs::add(lua_tostring(L, key)));
  }
  for (lua_pushnil(L); lua_next(L, first + kKnown - 1) != 0; lua_settop(L, key)) {
    get(L, first, key);
    if (lua_isnil(L, -1)) change(L, first, key, module);
  }
  lua_settop(L, first - 1);
}

// The first time all is known, and nobody's.
void copy(lua_State* L, int at) {
  const int first = push(L, at);
  for (lua_pushnil(L); lua_next(L, first) != 0;) set(L, first + kKnown - 1, first + kEach);
  lua_settop(L, first - 1);
}

}  // namespace

void watch(lua_State* L) {
  lua_newtable(L);
  watched = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  add(L);
  modules::push_loaded(L);
  add(L);
  modules::push_preload(L);
  add(L);
  modules::push_loaded(L);
  const int loaded = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, loaded) != 0;) {
    if (lua_istable(L, -1)) {
      add(L);
    } else {
      pop(L);
    }
  }
  pop(L);
  look_at_metatables(L);
  for (int at = 0; at < end; at += kEach) copy(L, at);
}

void note(lua_State* L, int module) {
  luaL_checkstack(L, 2 * kEach + LUA_MINSTACK, nullptr);
  look_at_metatables(L);
  for (int at = 0; at < end; at += kEach) note_in(L, at, module);
}

void take_away(lua_State* L, bool (*is_theirs)(int module)) {
  luaL_checkstack(L, 2 * kEach + LUA_MINSTACK, nullptr);
  look_at_metatables(L);
  for (int at = 0; at < end; at += kEach) {
    const int first = push(L, at);
    const int key = first + kEach;
    for (lua_pushnil(L); lua_next(L, first + kOwner - 1) != 0; lua_settop(L, key)) {
      if (!is_theirs(static_cast<int>(lua_tointeger(L, -1)))) continue;
      get(L, first, key);
      get(L, first + kKnown - 1, key);
      if (lua_rawequal(L, -1, -2) == 0) continue;
      get(L, first + kPrevious - 1, key);
      set(L, first, key);
    }
    lua_settop(L, first - 1);
  }
  set_metatables(L);
}

}  // namespace moonlet::belongings
