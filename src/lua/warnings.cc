#include "lua/warnings.h"

#include "lua/lua_api.h"

#include <stdio.h>
#include <string.h>

namespace moonlet::warnings {

#if LUA_VERSION_NUM >= 504

namespace {

// What luaL_newstate sets up, and gives no access to (manual, lua_WarnFunction).
bool is_on = false;
bool is_by_option = false;
bool goes_on = false;  // the message so far is a piece

void warn(void* /*context*/, const char* message, int to_be_continued) {
  const bool is_control = !goes_on && to_be_continued == 0 && *message == '@';
  if (is_control) {
    if (strcmp(message, "@on") == 0) is_on = true;
    if (strcmp(message, "@off") == 0) is_on = false;
    is_by_option = false;
    return;
  }
  if (!is_on) return;
  fprintf(stderr, "%s%s%s", goes_on ? "" : "Lua warning: ", message, to_be_continued != 0 ? "" : "\n");
  fflush(stderr);
  goes_on = to_be_continued != 0;
}

}  // namespace

void install(lua_State* L) { lua_setwarnf(L, warn, nullptr); }

void switch_on(lua_State* L) {
  lua_warning(L, "@on", 0);
  is_by_option = true;
}

// Also where the warm-up has a function of its own (lua_setwarnf).
void freshen(lua_State* L) {
  if (is_by_option) lua_warning(L, "@off", 0);
}

#else

void install(lua_State*) {}
void switch_on(lua_State*) {}
void freshen(lua_State*) {}

#endif

}  // namespace moonlet::warnings
