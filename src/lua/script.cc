#include "lua/script.h"

#include "lua/arguments.h"
#include "lua/call.h"
#include "lua/host.h"
#include "lua/lua_api.h"
#include "lua/messages.h"

#include <string.h>

namespace moonlet::interpreter {

namespace {

const char* script_file(char** argv, int script) {
  // "-" is standard input, unless "--" in front of it says that it is a file.
  const bool standard_input = strcmp(argv[script], "-") == 0 && strcmp(argv[script - 1], "--") != 0;
  return standard_input ? nullptr : argv[script];
}

// luaL_loadfile, but a script in another language goes through its compiler, if the module `moonlet` finds
// that.
int load_script(lua_State* L, const char* file) {
  const Host& host = *moonlet_host();
  if (file != nullptr && host.load_script != nullptr && host.load_script(L, file, message_handler))
    return LUA_OK;
  return luaL_loadfile(L, file);
}

}  // namespace

#if LUA_VERSION_NUM <= 502 && !defined(MOONLET_LUAJIT)

int run_script(lua_State* L, int argc, char** argv, int script) {
  const int count = argc - (script + 1);
  luaL_checkstack(L, count + 3, "too many arguments to script");
  for (int i = script + 1; i < argc; i++) lua_pushstring(L, argv[i]);
  arguments::push(L, argc, argv, script);
  arguments::set(L);
  int status = load_script(L, script_file(argv, script));
  lua_insert(L, -(count + 1));
  if (status == LUA_OK) {
    status = call(L, count, LUA_MULTRET);
  } else {
    lua_pop(L, count);
  }
  return report(L, status);
}

#else

namespace {

// The arguments that LUA_INIT and -e have left in `arg`. Returns their number.
int push_from_arg(lua_State* L) {
  lua_getglobal(L, "arg");
#if defined(MOONLET_LUAJIT)
  if (!lua_istable(L, -1)) {
    pop(L);
    return 0;
  }
  int count = 0;
  for (;;) {
    lua_rawgeti(L, -(count + 1), count + 1);
    if (lua_isnil(L, -1)) break;
    count++;
  }
  pop(L);
#else
  if (!lua_istable(L, -1)) luaL_error(L, "'arg' is not a table");
  const int count = static_cast<int>(luaL_len(L, -1));
  luaL_checkstack(L, count + 3, "too many arguments to script");
  for (int i = 1; i <= count; i++) lua_rawgeti(L, -i, i);
#endif
  lua_remove(L, -(count + 1));
  return count;
}

}  // namespace

int run_script(lua_State* L, int, char** argv, int script) {
  int status = load_script(L, script_file(argv, script));
  if (status == LUA_OK) {
    const int count = push_from_arg(L);
    status = call(L, count, LUA_MULTRET);
  }
  return report(L, status);
}

#endif

}  // namespace moonlet::interpreter
