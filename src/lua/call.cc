#include "lua/call.h"

#include "lua/lua_api.h"
#include "lua/messages.h"

#include <signal.h>

namespace moonlet::interpreter {

namespace {

lua_State* running = nullptr;  // for the handler of SIGINT

void set_handler(int signal, void (*handler)(int)) {
#if LUA_VERSION_NUM >= 504
  struct sigaction action = {};
  action.sa_handler = handler;  // no SA_RESTART: a read that Ctrl-C interrupts fails
  sigaction(signal, &action, nullptr);
#else
  ::signal(signal, handler);
#endif
}

void stop_running(lua_State* L, lua_Debug*) {
  lua_sethook(L, nullptr, 0, 0);
#if defined(MOONLET_LUAJIT)
  luaL_where(L, 0);  // a hook in C has no frame of its own here
  lua_pushfstring(L, "%sinterrupted!", lua_tostring(L, -1));
  lua_error(L);
#else
  luaL_error(L, "interrupted!");
#endif
}

// On SIGINT. A second one kills: the script may be where no hook runs.
void interrupt(int signal) {
  set_handler(signal, SIG_DFL);
  int events = LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT;
#if LUA_VERSION_NUM >= 504
  events |= LUA_MASKLINE;
#endif
  lua_sethook(running, stop_running, events, 1);
}

}  // namespace

int call(lua_State* L, int arguments, int results) {
  const int base = lua_gettop(L) - arguments;
  lua_pushcfunction(L, message_handler);
  lua_insert(L, base);
  running = L;
  set_handler(SIGINT, interrupt);
  const int status = lua_pcall(L, arguments, results, base);
  set_handler(SIGINT, SIG_DFL);
  lua_remove(L, base);
#if LIKE_LUA51
  if (status != LUA_OK) lua_gc(L, LUA_GCCOLLECT, 0);
#endif
  return status;
}

}  // namespace moonlet::interpreter
