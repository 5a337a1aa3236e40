#include "lua/finalizers.h"

#include "lua/lua_api.h"

#if LUA_VERSION_NUM >= 504 && defined(MOONLET_LUA_IS_SHARED)

#include <dlfcn.h>

namespace moonlet::finalizers {

namespace {

char key_of_objects;             // in the registry: list with weak values of what got a finalizer
lua_Integer objects = 0;         // the last index in it
bool watching = false;           // calls of lua_setmetatable come by here
bool warming_up = true;          // all kinds of objects are listed, because some will be gone by the seal
bool only_files = false;         // none of another kind has come
const void* registry = nullptr;  // of the state that is watched: a library may have states of its own
lua_Integer libraries = 0;
lua_CFunction close_file = nullptr;  // the finalizer of files

// More files than this are left to lua_close, which does not look at those that are gone.
constexpr lua_Integer kManyFiles = 1000;

lua_Integer count_libraries(lua_State* L) {
  // loadlib.c's list of what it unloads when the state is closed.
  const bool known = lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE;
  const lua_Integer count = known ? static_cast<lua_Integer>(lua_rawlen(L, -1)) : -1;
  lua_pop(L, 1);
  return count;
}

// Whether a metatable, on top of the stack, is that of files.
bool is_of_files(lua_State* L) {
  luaL_getmetatable(L, LUA_FILEHANDLE);
  const bool same = lua_rawequal(L, -1, -2) != 0;
  lua_pop(L, 1);
  return same;
}

lua_CFunction finalizer_of_files(lua_State* L) {
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_getfield(L, -1, "__gc");
  lua_CFunction function = lua_tocfunction(L, -1);
  lua_pop(L, 2);
  return function;
}

// The metatable is on top of the stack.
void note(lua_State* L, int object) {
  lua_pushliteral(L, "__gc");
  const bool finalizes = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 1);
  if (!finalizes) return;
  watching = true;
  if (!warming_up && !is_of_files(L)) only_files = false;
  if (!only_files) return;
  lua_pushvalue(L, object);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_of_objects);
  lua_insert(L, -2);
  lua_rawseti(L, -2, ++objects);
  lua_pop(L, 1);
}

// What run() does, within a protected call: a script may have done anything to the registry.
int run_protected(lua_State* L) {
  if (objects > kManyFiles || libraries < 0 || count_libraries(L) != libraries || close_file == nullptr ||
      finalizer_of_files(L) != close_file)
    return 0;
  // Each file in the list, the newest first, as lua_close would.
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_of_objects);
  for (lua_Integer i = objects; i > 0; i--) {
    lua_pushcfunction(L, close_file);
    if (lua_rawgeti(L, 1, i) == LUA_TNIL) {
      lua_pop(L, 2);
    } else {
      lua_call(L, 1, 0);
    }
  }
  lua_pushboolean(L, 1);
  return 1;
}

}  // namespace

void watch(lua_State* L) {
  // The standard libraries have finalizers, whose coming by has set `watching`. From now on they are listed.
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_of_objects);
  close_file = finalizer_of_files(L);
  only_files = watching;
  registry = lua_topointer(L, LUA_REGISTRYINDEX);
}

bool is_watched(lua_State* L) { return registry == nullptr || lua_topointer(L, LUA_REGISTRYINDEX) == registry; }

void seal(lua_State* L) {
  warming_up = false;
  libraries = count_libraries(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_of_objects);
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (lua_getmetatable(L, -1) == 0 || !is_of_files(L)) only_files = false;
    lua_settop(L, 3);
  }
  lua_settop(L, 0);
}

void unseal() { warming_up = true; }

void close_always() { only_files = false; }

bool run(lua_State* L) {
  if (!only_files) return false;
  lua_pushcfunction(L, run_protected);
  return lua_pcall(L, 0, 1, 0) == LUA_OK && lua_toboolean(L, -1) != 0;
}

}  // namespace moonlet::finalizers

// Stands in front of liblua's, for liblua itself and for every C module: nothing else gives an object a
// finalizer.
extern "C" [[gnu::visibility("default")]] int lua_setmetatable(lua_State* L, int objindex) {
  using Function = int (*)(lua_State*, int);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "lua_setmetatable"));
  namespace finalizers = moonlet::finalizers;
  if ((finalizers::only_files || !finalizers::watching) && lua_istable(L, -1) && finalizers::is_watched(L))
    finalizers::note(L, lua_absindex(L, objindex));
  return real(L, objindex);
}

#else

namespace moonlet::finalizers {

void watch(lua_State*) {}
void seal(lua_State*) {}
void unseal() {}
void close_always() {}
bool run(lua_State*) { return false; }

}  // namespace moonlet::finalizers

#endif
