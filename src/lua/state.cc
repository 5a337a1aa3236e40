#include "lua/state.h"

#include "lua/arguments.h"
#include "lua/builtin_module.h"
#include "lua/collector.h"
#include "lua/finalizers.h"
#include "lua/finish.h"
#include "lua/lua_api.h"
#include "lua/modules.h"
#include "lua/paths.h"
#include "lua/random_numbers.h"
#include "lua/sealed_heap.h"
#include "lua/streams.h"
#include "lua/time_zone.h"
#include "lua/warnings.h"

#include <string.h>

namespace moonlet::warm {

void (*observe_opening)(lua_State* L) = nullptr;

namespace {

// Since 5.3 Lua remembers, for 53 remainders of the addresses of C strings, the two that it has last made a
// string of, and compares them with the next one. All over the heap, each of them is a page that a launch would
// read for nothing: have it remember two of its own, which lie together.
void forget_c_strings(lua_State* L) {
#if LUA_VERSION_NUM >= 503
  constexpr int kRemainders = 53;  // STRCACHE_N
  constexpr const char* kNames[] = {"_G", "io"};
  char text[kRemainders + sizeof "_G"];
  for (int i = 0; i < kRemainders; i++) {
    for (const char* name : kNames) {
      memcpy(text + i, name, sizeof "_G");
      lua_pushstring(L, text + i);
      pop(L);
    }
  }
#else
  (void)L;
#endif
}

int list_contents(lua_State* L) {
  finalizers::seal(L);
  modules::list(L);
  forget_c_strings(L);
  return 0;
}

int renew_paths(lua_State* L) {
  const bool ignores_environment = lua_toboolean(L, 1) != 0;
  modules::push_package(L);
  const int package = lua_gettop(L);
  bool changed = false;
  if (paths::has_other_environment(ignores_environment) &&
      !paths::renew(L, package, ignores_environment, changed))
    return luaL_error(L, "not enough memory");
  if (changed || modules::is_elsewhere()) modules::drop_misplaced(L, package, changed);
  paths::tell_libraries(L, ignores_environment);
  return 0;
}

}  // namespace

lua_State* new_state(decltype(heap::allocate)* allocate) {
  lua_State* const standard = luaL_newstate();
  if (standard == nullptr) return nullptr;
#if LUA_VERSION_NUM >= 505
  lua_State* const L = lua_newstate(allocate, nullptr, luaL_makeseed(nullptr));
#else
  lua_State* const L = lua_newstate(allocate, nullptr);
#endif
  if (L == nullptr) return standard;  // LuaJIT takes only its own allocator where pointers have 32 bits of 64
  lua_atpanic(L, lua_atpanic(standard, nullptr));
  warnings::install(L);
  lua_close(standard);
  return L;
}

void open_libraries(lua_State* L) {
  make_last_object(L);
  collector::hold(L);
  paths::remember_environment(L);
  luaL_openlibs(L);
#if defined(MOONLET_BUILTIN_MODULE)
  add_builtin_module(L);
#endif
  collector::start(L);
  finalizers::watch(L);
  modules::remember_standard(L);
  random_numbers::remember(L);
  if (observe_opening != nullptr) observe_opening(L);
}

void seal(lua_State* L) {
  arguments::seal(L);
  // Before all that follows: finalizers are the warm-up's code too. They print, and take random numbers.
  collector::collect(L);
  arguments::empty(L);
  lua_pushcfunction(L, list_contents);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) pop(L);  // out of memory: what is listed counts
  random_numbers::seal(L);
  time_zone::seal();
  streams::seal();
  heap::seal();  // last: from here on each block that is freed lies idle
}

void unseal(lua_State* L) {
  arguments::unseal(L);
  warnings::freshen(L);
  finalizers::unseal();
  random_numbers::begin_again(L);
  paths::remember_environment(L);
  modules::forget_list();
  collector::go_on(L);
}

void freshen(lua_State* L) {
  random_numbers::freshen(L);
  warnings::freshen(L);
}

const char* thaw(lua_State* L, bool ignores_environment) {
  streams::thaw();
  time_zone::thaw();
  if (!modules::is_elsewhere() && !paths::has_other_environment(ignores_environment)) return nullptr;
  lua_pushcfunction(L, renew_paths);
  lua_pushboolean(L, ignores_environment ? 1 : 0);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return nullptr;
  const char* reason = lua_tostring(L, -1);
  return reason != nullptr ? reason : "(error message not a string)";
}

}  // namespace moonlet::warm
