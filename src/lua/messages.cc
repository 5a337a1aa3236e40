#include "lua/messages.h"

#include "lua/lua_api.h"

#include <stdio.h>

namespace moonlet::interpreter {

namespace {

const char* program_name = nullptr;  // never empty

int describe_error(lua_State* L) {
#if LUA_VERSION_NUM == 501 && !defined(MOONLET_LUAJIT)
  if (lua_isstring(L, 1) == 0) return 1;
  lua_getfield(L, LUA_GLOBALSINDEX, "debug");
  if (!lua_istable(L, -1)) {
    pop(L);
    return 1;
  }
  lua_getfield(L, -1, "traceback");
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 2);
    return 1;
  }
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 2);  // from the function that failed
  lua_call(L, 2, 1);
  return 1;
#elif defined(MOONLET_LUAJIT)
  if (lua_isstring(L, 1) == 0) {
    const bool described =
        !lua_isnoneornil(L, 1) && luaL_callmeta(L, 1, "__tostring") != 0 && lua_isstring(L, -1) != 0;
    if (!described) return 1;
    lua_remove(L, 1);
  }
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
#elif LUA_VERSION_NUM == 502
  const char* message = lua_tostring(L, 1);
  if (message != nullptr) {
    luaL_traceback(L, L, message, 1);
  } else if (!lua_isnoneornil(L, 1) && luaL_callmeta(L, 1, "__tostring") == 0) {
    lua_pushliteral(L, "(no error message)");
  }
  return 1;
#else
  const char* message = lua_tostring(L, 1);
  if (message == nullptr) {
    if (luaL_callmeta(L, 1, "__tostring") != 0 && lua_type(L, -1) == LUA_TSTRING) return 1;
    message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  luaL_traceback(L, L, message, 1);
  return 1;
#endif
}

}  // namespace

constinit lua_CFunction message_handler = describe_error;

void rename(const char* name) { program_name = *name != '\0' ? name : MOONLET_PROGRAM_NAME; }

void print_message(const char* message) {
  fprintf(stderr, "%s: %s\n", program_name, message);
  fflush(stderr);
}

int report(lua_State* L, int status) {
  if (status == LUA_OK) return status;
#if LUA_VERSION_NUM < 503
  if (lua_isnil(L, -1)) return status;
#endif
  const char* message = lua_tostring(L, -1);
#if LUA_VERSION_NUM < 503
  if (message == nullptr) message = "(error object is not a string)";
#else
  if (message == nullptr) message = "(error message not a string)";
#endif
  print_message(message);
  pop(L);
#if LUA_VERSION_NUM == 502
  lua_gc(L, LUA_GCCOLLECT, 0);
#endif
  return status;
}

}  // namespace moonlet::interpreter
