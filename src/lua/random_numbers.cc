#include "lua/random_numbers.h"

#include "base/layout.h"
#include "lua/lua_api.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::random_numbers {

namespace {
[[maybe_unused]] bool continues = false;  // what the warm-up has left goes on
}  // namespace

#if LUA_VERSION_NUM >= 504 || defined(MOONLET_LUAJIT)

namespace {
int randomseed = 0;  // reference in the registry
}

#else

void remember(lua_State*) {}

#endif

#if LUA_VERSION_NUM >= 504

namespace {

// lmathlib.c: xoshiro256**, whose state is the first value that math.random holds.
constexpr int kWords = 4;
uint64_t at_start[kWords];

const uint64_t* find_state(lua_State* L) {
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "random");
  const bool has_state = lua_iscfunction(L, -1) != 0 && lua_getupvalue(L, -1, 1) != nullptr;
  const bool fits = has_state && lua_rawlen(L, -1) == sizeof at_start;
  const auto* state = fits ? static_cast<const uint64_t*>(lua_touserdata(L, -1)) : nullptr;
  lua_pop(L, has_state ? 3 : 2);
  return state;
}

void step(uint64_t (&state)[kWords]) {
  const uint64_t shifted = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = state[3] << 45 | state[3] >> 19;
}

// Whether the warm-up has seeded the generator: no number of draws leads from the state at the start to this
// one.
bool is_reseeded(lua_State* L) {
  constexpr int kMostDraws = 100000;
  const uint64_t* const now = find_state(L);
  if (now == nullptr) return false;
  uint64_t state[kWords];
  memcpy(state, at_start, sizeof state);
  for (int i = 0; i <= kMostDraws; i++, step(state)) {
    if (memcmp(state, now, sizeof state) == 0) return false;
  }
  return true;
}

}  // namespace

void remember(lua_State* L) {
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  randomseed = luaL_ref(L, LUA_REGISTRYINDEX);
  pop(L);
  if (const uint64_t* state = find_state(L)) memcpy(at_start, state, sizeof at_start);
}

void go_on(lua_State* L, bool with_entropy, bool) { continues = !with_entropy && is_reseeded(L); }

void seal(lua_State*) {}
void begin_again(lua_State*) {}

void freshen(lua_State* L) {
  if (continues) return;
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

namespace {

int random = 0;  // reference in the registry
constexpr size_t kMostState = 128;
MOONLET_LARGE char at_start[kMostState];
size_t state_size = 0;  // bytes; 0: not found

// The first value that math.random holds (lib_math.c, PRNGState).
void* find_state(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, random);
  void* state = nullptr;
  if (lua_iscfunction(L, -1) != 0 && lua_getupvalue(L, -1, 1) != nullptr) {
    if (lua_type(L, -1) == LUA_TUSERDATA && lua_objlen(L, -1) <= kMostState) {
      state = lua_touserdata(L, -1);
      state_size = lua_objlen(L, -1);
    }
    pop(L);
  }
  pop(L);
  return state;
}

// Whether the warm-up has seeded the generator: no number of draws leads from the state at the start to this
// one.
bool is_reseeded(lua_State* L) {
  constexpr int kMostDraws = 10000;
  void* const state = find_state(L);
  if (state == nullptr) return false;
  char now[kMostState];
  memcpy(now, state, state_size);
  memcpy(state, at_start, state_size);
  bool found = false;
  for (int i = 0; i <= kMostDraws && !found; i++) {
    found = memcmp(state, now, state_size) == 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, random);
    lua_call(L, 0, 0);
  }
  memcpy(state, now, state_size);
  return !found;
}

}  // namespace

void remember(lua_State* L) {
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  randomseed = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_getfield(L, -1, "random");
  random = luaL_ref(L, LUA_REGISTRYINDEX);
  pop(L);
  if (const void* state = find_state(L)) memcpy(at_start, state, state_size);
}

void seal(lua_State* L) {
  if (continues) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, randomseed);
  lua_pushinteger(L, 0);
  lua_call(L, 1, 0);
}

void begin_again(lua_State* L) {
  const void* const state = continues ? nullptr : find_state(L);
  if (state != nullptr) memcpy(at_start, state, state_size);
}

void go_on(lua_State* L, bool, bool) { continues = is_reseeded(L); }

#else

void seal(lua_State*) {
  if (continues) return;
  srand(1);
  srandom(1);  // one state with rand in glibc, another in musl
}

void begin_again(lua_State*) {}

void go_on(lua_State*, bool, bool libc_is_seeded) { continues = libc_is_seeded; }

#endif

void freshen(lua_State*) {}

#endif

}  // namespace moonlet::random_numbers
