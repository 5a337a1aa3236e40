#include "lua/paths.h"

#include "lua/lua_api.h"
#include "lua/variable.h"

#include <string.h>

namespace moonlet::paths {

namespace {

#if LUA_VERSION_NUM >= 502
constexpr const char* kVariables[] = {"LUA_PATH_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR, "LUA_PATH",
                                      "LUA_CPATH_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR, "LUA_CPATH"};
#else
constexpr const char* kVariables[] = {"LUA_PATH", "LUA_CPATH"};
#endif
constexpr int kCount = sizeof kVariables / sizeof *kVariables;
constexpr const char* kIgnoresEnvironment = "LUA_NOENV";  // in the registry

RememberedVariable remembered[kCount];
bool ignored_environment = false;

int compute(lua_State* scratch) {
  if (lua_toboolean(scratch, 1) != 0) ignore_environment(scratch);
  lua_pushcfunction(scratch, luaopen_package);
  lua_pushstring(scratch, "package");
  lua_call(scratch, 1, 1);
#if defined(MOONLET_LUAJIT)
  lua_getglobal(scratch, "package");  // instead of returning it
#endif
  lua_getfield(scratch, -1, "path");
  lua_getfield(scratch, -2, "cpath");
  return 2;
}

}  // namespace

void ignore_environment(lua_State* L) {
  lua_pushboolean(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, kIgnoresEnvironment);
}

void remember_environment(lua_State* L) {
  for (int i = 0; i < kCount; i++) remembered[i].remember(kVariables[i]);
  lua_getfield(L, LUA_REGISTRYINDEX, kIgnoresEnvironment);
  ignored_environment = lua_toboolean(L, -1) != 0;
  pop(L);
}

bool has_other_environment(bool ignores_environment) {
  if (ignores_environment != ignored_environment) return true;
  if (ignores_environment) return false;
  for (int i = 0; i < kCount; i++) {
    if (!remembered[i].is_as_before(kVariables[i])) return true;
  }
  return false;
}

// Asks a state of its own, because each version reads the variables in another way.
bool renew(lua_State* L, int package, bool ignores_environment, bool& changed) {
  lua_State* scratch = luaL_newstate();
  if (scratch == nullptr) return false;
  lua_pushcfunction(scratch, compute);
  lua_pushboolean(scratch, ignores_environment ? 1 : 0);
  const bool computed = lua_pcall(scratch, 1, 2, 0) == LUA_OK;
  const char* const fields[] = {"path", "cpath"};
  for (int i = 0; computed && i < 2; i++) {
    const char* value = lua_tostring(scratch, i - 2);
    lua_getfield(L, package, fields[i]);
    const char* before = lua_tostring(L, -1);
    if (value != nullptr && (before == nullptr || strcmp(before, value) != 0)) {
      changed = true;
      lua_pushstring(L, value);  // out of memory here loses the scratch state, with this process
      lua_setfield(L, package, fields[i]);
    }
    pop(L);
  }
  lua_close(scratch);
  return computed;
}

void tell_libraries(lua_State* L, bool ignores_environment) {
  if (ignores_environment) {
    ignore_environment(L);
  } else if (ignored_environment) {
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, kIgnoresEnvironment);
  }
}

}  // namespace moonlet::paths
