#include "lua/modules.h"

#include "lua/lua_api.h"
#include "lua/module_origin.h"
#include "lua/needs.h"

#include <stdlib.h>
#include <string.h>

namespace moonlet::modules {

namespace {

int standard = 0;  // reference in the registry: set of the names of the standard libraries

struct WarmModule {
  char* name;
  ModuleOrigin origin;
};

WarmModule* listed = nullptr;
int count = 0;
bool depends_on_directory = false;  // one of those listed does
FileIdentity directory;             // at the seal

// Where `require` would find the module `name` now. False: nowhere.
bool look_up(lua_State* L, int package, const char* name, ModuleOrigin& origin) {
#if defined(MOONLET_OWN_PATH)
  // The seal has looked already.
  if (const needs::Module* known = needs::find(name)) {
    origin = known->origin;
    return known->has_origin;
  }
#endif
  return origin.find(L, package, name);
}

}  // namespace

void push_loaded(lua_State* L) { lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED"); }

void push_package(lua_State* L) {
  push_loaded(L);
  lua_getfield(L, -1, "package");
  lua_remove(L, -2);
}

void push_preload(lua_State* L) {
#if LUA_VERSION_NUM >= 502
  lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
#else
  push_package(L);
  lua_getfield(L, -1, "preload");
  lua_remove(L, -2);
#endif
}

void remember_standard(lua_State* L) {
  lua_newtable(L);
  push_loaded(L);
  for (lua_pushnil(L); lua_next(L, -2) != 0;) {
    pop(L);
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, -5);  // standard[name] = true
  }
  pop(L);
  standard = luaL_ref(L, LUA_REGISTRYINDEX);
}

void list(lua_State* L) {
  constexpr int kPackage = 1;
  constexpr int kLoaded = 2;
  constexpr int kStandard = 3;
  directory.find(".");
  push_package(L);
  push_loaded(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, standard);
  for (lua_pushnil(L); lua_next(L, kLoaded) != 0; lua_settop(L, kStandard + 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    const char* name = lua_tostring(L, -2);
    lua_getfield(L, kStandard, name);
    ModuleOrigin origin;
    if (!lua_isnil(L, -1) || !look_up(L, kPackage, name, origin)) continue;
    void* grown = realloc(listed, sizeof(WarmModule) * static_cast<size_t>(count + 1));
    if (grown == nullptr) return;
    listed = static_cast<WarmModule*>(grown);
    WarmModule& added = listed[count];
    added.name = strdup(name);
    if (added.name == nullptr) return;
    added.origin = origin;
    count++;
    depends_on_directory |= origin.depends_on_directory;
  }
}

void forget_list() {
  listed = nullptr;  // not freed: it lies in an image below
  count = 0;
  depends_on_directory = false;
}

const char** names() {
  auto** const all = static_cast<const char**>(calloc(static_cast<size_t>(count) + 1, sizeof(char*)));
  for (int i = 0; all != nullptr && i < count; i++) {
    int at = i;
    for (; at > 0 && strcmp(all[at - 1], listed[i].name) > 0; at--) all[at] = all[at - 1];
    all[at] = listed[i].name;
  }
  return all;
}

#if !defined(MOONLET_OWN_PATH)

bool is_elsewhere() { return depends_on_directory && !directory.is_at("."); }

void drop_misplaced(lua_State* L, int package, bool all) {
  bool misplaced = false;
  for (int i = 0; i < count && !misplaced; i++) {
    const WarmModule& module = listed[i];
    if (!all && !module.origin.depends_on_directory) continue;
    ModuleOrigin now;
    misplaced = !now.find(L, package, module.name) || now.file != module.origin.file;
  }
  if (!misplaced) return;
  push_loaded(L);
  for (int i = 0; i < count; i++) {
    lua_pushnil(L);
    lua_setfield(L, -2, listed[i].name);
  }
  pop(L);
}

#endif

}  // namespace moonlet::modules
