#include "lua/finish.h"

#include "lua/finalizers.h"
#include "lua/lua_api.h"

#include <stdlib.h>
#if LUA_VERSION_NUM >= 505
#include <dlfcn.h>
#include <link.h>
#endif

namespace moonlet::warm {

namespace {

// From finish() to the last object's finalizer. os.exit(n, true) closes the state too, with a status that is
// its own: that state is torn down.
bool leaving = false;
int status_at_leave = 0;

#if LUA_VERSION_NUM >= 505

bool is_behind(const link_map* one, const link_map* other) {
  while (other != nullptr && other != one) other = other->l_next;
  return other != nullptr;
}

// Since 5.5 a library is unloaded when the string that stands for it is freed, which the last object's
// finalizer comes before. loadlib.c's table has the handles by their paths; lua_close(3) takes the newest
// first.
void unload_libraries(lua_State* L) {
  constexpr int kMost = 256;
  link_map* newest_first[kMost];
  int count = 0;
  lua_settop(L, 0);
  if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") != LUA_TTABLE) return;
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_settop(L, 2)) {
    auto* const library = static_cast<link_map*>(lua_touserdata(L, 3));
    if (!lua_islightuserdata(L, 3) || library == nullptr || count == kMost) continue;
    int at = count++;
    for (; at > 0 && is_behind(library, newest_first[at - 1]); at--) newest_first[at] = newest_first[at - 1];
    newest_first[at] = library;
  }
  for (int i = 0; i < count; i++) dlclose(newest_first[i]);
}

#else

void unload_libraries(lua_State*) {}

#endif

int leave(lua_State* L) {
  // With a function below this one, a finalizer collects garbage, and has not done its own work yet.
  lua_Debug caller;
  if (leaving && lua_getstack(L, 1, &caller) == 0) {
    unload_libraries(L);
    exit(status_at_leave);
  }
  return 0;
}

}  // namespace

void make_last_object(lua_State* L) {
  lua_newuserdata(L, 1);
  lua_newtable(L);
  lua_pushcfunction(L, leave);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  luaL_ref(L, LUA_REGISTRYINDEX);
}

void finish(lua_State* L, int status) {
  leaving = true;
  status_at_leave = status;
  if (!finalizers::run(L)) lua_close(L);
  exit(status);  // also where a script has found and undone the last object
}

}  // namespace moonlet::warm
