#include "lua/finish.h"

#include "lua/finalizers.h"
#include "lua/lua_api.h"

#include <stdlib.h>

namespace moonlet::warm {

namespace {

// From finish() to the last object's finalizer. os.exit(n, true) closes the state too, with a status that is
// its own: that state is torn down.
bool leaving = false;
int status_at_leave = 0;

int leave(lua_State* L) {
  // With a function below this one, a finalizer collects garbage, and has not done its own work yet.
  lua_Debug caller;
  if (leaving && lua_getstack(L, 1, &caller) == 0) exit(status_at_leave);
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
