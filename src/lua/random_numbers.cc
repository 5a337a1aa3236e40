#include "lua/random_numbers.h"

#include "lua/lua_api.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::random_numbers {

#if LUA_VERSION_NUM >= 504 || defined(MOONLET_LUAJIT)

namespace {
int randomseed = 0;  // reference in the registry
}

void remember(lua_State* L) {
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  randomseed = luaL_ref(L, LUA_REGISTRYINDEX);
  pop(L);
}

#else

void remember(lua_State*) {}

#endif

#if LUA_VERSION_NUM >= 504

void seal(lua_State*) {}

void freshen(lua_State* L) {
  uint64_t seed[2] = {};
  // Not getrandom(3), for the page of libc's that it is alone on.
  if (syscall(SYS_getrandom, seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
    // Before the kernel has entropy, early at boot: what lua itself takes, and what sets children apart.
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    seed[0] = static_cast<uint64_t>(now.tv_sec) << 32 ^ static_cast<uint64_t>(now.tv_nsec);
    seed[1] = static_cast<uint64_t>(getpid());
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, randomseed);
  lua_pushinteger(L, static_cast<lua_Integer>(seed[0]));
  lua_pushinteger(L, static_cast<lua_Integer>(seed[1]));
  lua_call(L, 2, 0);
}

#else

#if defined(MOONLET_LUAJIT)

void seal(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, randomseed);
  lua_pushinteger(L, 0);
  lua_call(L, 1, 0);
}

#else

void seal(lua_State*) {
  srand(1);
  srandom(1);  // one state with rand in glibc, another in musl
}

#endif

void freshen(lua_State*) {}

#endif

}  // namespace moonlet::random_numbers
