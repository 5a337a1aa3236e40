#include "lua/finalizers.h"

#include "lua/lua_api.h"

#if LUA_VERSION_NUM >= 504 && defined(MOONLET_LUA_IS_SHARED)

#include <dlfcn.h>

namespace moonlet::finalizers {

namespace {

char key_of_objects;  // in the registry: list with weak values of what got a finalizer during the warm-up
bool pending = false;
bool watching = false;  // calls of lua_setmetatable come by here
bool listing = false;   // they are written down in the list
lua_Integer libraries = 0;

lua_Integer count_libraries(lua_State* L) {
  // loadlib.c's list of what it unloads when the state is closed.
  const bool known = lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE;
  const lua_Integer count = known ? static_cast<lua_Integer>(lua_rawlen(L, -1)) : -1;
  lua_pop(L, 1);
  return count;
}

// The metatable is on top of the stack.
void note(lua_State* L, int object) {
  lua_pushliteral(L, "__gc");
  const bool finalizes = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 1);
  if (!finalizes) return;
  pending = true;
  if (!listing) return;
  lua_pushvalue(L, object);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_of_objects);
  lua_insert(L, -2);
  lua_rawseti(L, -2, static_cast<lua_Integer>(lua_rawlen(L, -2)) + 1);
  lua_pop(L, 1);
}

}  // namespace

void watch(lua_State* L) {
  watching = pending;  // the standard libraries have finalizers of their own, and so has this very call
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key_of_objects);
  listing = true;
}

void seal(lua_State* L) {
  listing = false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key_of_objects);
  lua_pushnil(L);
  pending = lua_next(L, -2) != 0;
  lua_settop(L, 0);
  libraries = count_libraries(L);
}

bool are_pending(lua_State* L) {
  return pending || !watching || libraries < 0 || count_libraries(L) != libraries;
}

}  // namespace moonlet::finalizers

// Stands in front of liblua's, for liblua itself and for every C module: nothing else gives an object a
// finalizer.
extern "C" int lua_setmetatable(lua_State* L, int objindex) {
  using Function = int (*)(lua_State*, int);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "lua_setmetatable"));
  namespace finalizers = moonlet::finalizers;
  if ((!finalizers::pending || finalizers::listing) && lua_istable(L, -1))
    finalizers::note(L, lua_absindex(L, objindex));
  return real(L, objindex);
}

#else

namespace moonlet::finalizers {

void watch(lua_State*) {}
void seal(lua_State*) {}
bool are_pending(lua_State*) { return true; }

}  // namespace moonlet::finalizers

#endif
