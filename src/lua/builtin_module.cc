#include "lua/builtin_module.h"

#include "lua/host.h"
#include "lua/lua_api.h"

#include <string.h>

// src/module/, which lies above this.
extern "C" int luaopen_moonlet(lua_State* L);
namespace moonlet::module_of_lua {
bool load_translated(lua_State* L, const char* file, Host::Function& message_handler);
}

namespace moonlet {

namespace {

// A searcher (manual, package.searchers): upvalue 1 is the one that it stands for.
int search(lua_State* L) {
  const char* name = lua_tostring(L, 1);
  const bool is_own = name != nullptr && strcmp(name, "moonlet") == 0;
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  if (!is_own || lua_isfunction(L, 1)) return lua_gettop(L);
  lua_pushcfunction(L, luaopen_moonlet);
  return 1;
}

}  // namespace

void add_builtin_module(lua_State* L) {
  moonlet_host()->load_script = module_of_lua::load_translated;
#if LUA_VERSION_NUM >= 502
  constexpr const char* kSearchers = "searchers";
  constexpr auto length = lua_rawlen;
#else
  constexpr const char* kSearchers = "loaders";
  constexpr auto length = lua_objlen;
#endif
  lua_getglobal(L, "package");
  lua_getfield(L, -1, kSearchers);
  const auto last = static_cast<int>(length(L, -1));
  lua_rawgeti(L, -1, last);
  lua_pushcclosure(L, search, 1);
  lua_rawseti(L, -2, last);
  lua_pop(L, 2);
}

}  // namespace moonlet
