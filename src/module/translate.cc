#include "module/translate.h"

#include "lua/lua_api.h"

#include <string.h>

namespace moonlet::module_of_lua {

namespace {

lua_CFunction describe_error = nullptr;  // what tells the lines of Lua

// Pushes a function of a module that is loaded. False, with nothing pushed, if there is none.
bool push_function(lua_State* L, const char* module, const char* name) {
  const int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, module);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, name);
    if (lua_isfunction(L, -1)) {
      lua_replace(L, top + 1);
      lua_settop(L, top + 1);
      return true;
    }
  }
  lua_settop(L, top);
  return false;
}

// Message handlers.

int describe_fennel_error(lua_State* L) {
  if (lua_isstring(L, 1) == 0 || !push_function(L, "fennel", "traceback")) return describe_error(L);
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

int describe_moonscript_error(lua_State* L) {
  if (lua_isstring(L, 1) == 0) return describe_error(L);
  describe_error(L);
  const char* text = lua_tostring(L, -1);
  if (text != nullptr) text = strstr(text, "stack traceback:");
  if (text == nullptr || !push_function(L, "moonscript.errors", "rewrite_traceback")) return 1;
  lua_pushstring(L, text);
  lua_pushvalue(L, 1);
  lua_call(L, 2, 1);
  if (lua_isnil(L, -1)) pop(L);  // then the lines are those of Lua
  return 1;
}

// Behind all other searchers one that finds Fennel's modules, as the program fennel does it.
void add_fennel_searcher(lua_State* L) {
  const int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, LUA_LOADLIBNAME);
#if LUA_VERSION_NUM >= 502
  lua_getfield(L, -1, "searchers");
#else
  lua_getfield(L, -1, "loaders");
#endif
  if (lua_istable(L, -1) &&
      (push_function(L, "fennel", "make-searcher") || push_function(L, "fennel", "makeSearcher"))) {
    lua_newtable(L);
    lua_call(L, 1, 1);
    int next = 1;
    for (; lua_rawgeti(L, top + 3, next), !lua_isnil(L, -1); next++) pop(L);
    pop(L);
    lua_rawseti(L, top + 3, next);
  }
  lua_settop(L, top);
}

// fennel.dofile(file, nil, ...), with both as upvalues.
int run_fennel(lua_State* L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 2);
  lua_pushnil(L);
  lua_insert(L, 3);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

}  // namespace

bool load_translated(lua_State* L, const char* file, Host::Function& message_handler) {
  const char* suffix = strrchr(file, '.');
  if (suffix == nullptr) return false;
  lua_CFunction handler = nullptr;
  if (strcmp(suffix, ".fnl") == 0 && push_function(L, "fennel", "dofile")) {
    add_fennel_searcher(L);
    lua_pushstring(L, file);
    lua_pushcclosure(L, run_fennel, 2);
    handler = describe_fennel_error;
  } else if (strcmp(suffix, ".moon") == 0 && push_function(L, "moonscript.base", "loadfile")) {
    lua_pushstring(L, file);
    lua_call(L, 1, 2);
    if (lua_isnil(L, -2)) lua_error(L);  // with what is behind it
    pop(L);
    handler = describe_moonscript_error;
  } else {
    return false;
  }
  describe_error = message_handler;
  message_handler = handler;
  return true;
}

}  // namespace moonlet::module_of_lua
