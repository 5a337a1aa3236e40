// require "moonlet" (docs/lua-api.md).

#include "lua/host.h"
#include "lua/lua_api.h"
#include "module/spawn.h"
#include "module/status.h"
#include "module/translate.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

// Null in plain lua.
#pragma weak moonlet_host

namespace moonlet::module_of_lua {

namespace {

// Null too in a moonlet-lua of another release.
Host* host() {
  if (moonlet_host == nullptr) return nullptr;
  Host* its = moonlet_host();
  return its->version == Host::kVersion ? its : nullptr;
}

// What a file is linked to that somebody has switched off.
bool is_null(const struct stat& found) { return S_ISCHR(found.st_mode) && found.st_rdev == makedev(1, 3); }

int watch(lua_State* L) {
  luaL_checktype(L, 1, LUA_TSTRING);
  const char* path = lua_tostring(L, 1);
  const Host* its = host();
  if (its == nullptr || its->warm) {
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "not in a warm-up");
    return 2;
  }
  // The warm-up is asked about whatever it opens. Anything but these may wait for somebody, or do something.
  struct stat found;
  if (stat(path, &found) != 0 || S_ISREG(found.st_mode) || S_ISDIR(found.st_mode) || is_null(found)) {
    FILE* file = fopen(path, "r");
    if (file != nullptr) fclose(file);
  }
  lua_pushboolean(L, 1);
  return 1;
}

// `warm` changes when a script begins: a warm-up may have loaded the module.
int index(lua_State* L) {
  lua_pushliteral(L, "warm");
  if (lua_rawequal(L, 2, -1) == 0) return 0;
  lua_pushboolean(L, host() != nullptr && host()->warm ? 1 : 0);
  return 1;
}

}  // namespace

}  // namespace moonlet::module_of_lua

extern "C" [[gnu::visibility("default")]] int luaopen_moonlet(lua_State* L) {
  using namespace moonlet::module_of_lua;
  constexpr struct {
    const char* name;
    lua_CFunction function;
  } kFunctions[] = {{"spawn", spawn}, {"status", status}, {"reload", reload}, {"watch", watch}};
  if (moonlet::Host* its = host()) its->load_script = load_translated;
  lua_newtable(L);
  for (const auto& it : kFunctions) {
    lua_pushcfunction(L, it.function);
    lua_setfield(L, -2, it.name);
  }
  lua_pushliteral(L, MOONLET_VERSION);
  lua_setfield(L, -2, "_VERSION");
  lua_newtable(L);
  lua_pushcfunction(L, index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return 1;
}
