#include "lua/collector.h"

#include "lua/lua_api.h"

namespace moonlet::collector {

namespace {

[[maybe_unused]] bool incremental = false;  // whatever lua would choose

#if defined(MOONLET_BUILTIN_MODULE)
bool above = false;                         // this image is a layer's
bool below = false;                         // it is to have layers on it
[[maybe_unused]] int kilobytes_sealed = 0;  // that Lua had in use at the seal
[[maybe_unused]] int kilobytes_below = 0;
#else
constexpr bool above = false;
constexpr bool below = false;
#endif

#if LUA_VERSION_NUM < 504

// Where the collector has no generations its first cycle writes to every object of the warm heap. As in lua,
// the cycle begins when the heap has grown to twice what the last one left, but not before it has grown by this
// much: most scripts are gone before.
constexpr int kFirstCycleKilobytes = 512;

void put_off_first_cycle(lua_State* L) {
  const int kilobytes = lua_gc(L, LUA_GCCOUNT, 0) + 1;
  const int pause = lua_gc(L, LUA_GCSETPAUSE, 200);
  const int put_off = 100 + 100 * kFirstCycleKilobytes / kilobytes;
  lua_gc(L, LUA_GCSETPAUSE, put_off > pause ? put_off : pause);
  lua_gc(L, LUA_GCCOLLECT, 0);  // which is when the pause takes effect
  lua_gc(L, LUA_GCSETPAUSE, pause);
}

#endif

#if LUA_VERSION_NUM >= 504 && defined(MOONLET_BUILTIN_MODULE)

// When Lua's table of strings grows, it writes to every string. So this makes the table twice as large as its
// strings need: a layer above can have its own strings without such a write. No collection may run meanwhile:
// it would shrink the table.
void make_room_for_strings(lua_State* L) {
  constexpr int kOneString = 256;  // bytes, at most; the smallest table takes 512 more
  constexpr int kMost = 1 << 20;
  const auto bytes = [L] { return lua_gc(L, LUA_GCCOUNT, 0) * 1024 + lua_gc(L, LUA_GCCOUNTB, 0); };
  const bool is_running = lua_gc(L, LUA_GCISRUNNING, 0) != 0;
  lua_gc(L, LUA_GCSTOP, 0);
  for (int i = 0, before = bytes(), grown = 0; grown < kOneString && i < kMost; i++) {
    lua_pushfstring(L, "moonlet %d", i);
    pop(L);
    grown = bytes() - before;
    before += grown;
  }
  if (is_running) lua_gc(L, LUA_GCRESTART, 0);
}

// A layer whose script has stopped a generational collector has not written to old objects, and so shares them
// with the image below. A collection of all would. Instead, what is new gets old in three minor collections.
// Returns false, with nothing done, for any other image.
bool collect_above(lua_State* L) {
  constexpr int kUntilOld = 3;
  if (!above || lua_gc(L, LUA_GCISRUNNING, 0) != 0) return false;
  constexpr int kLittle = 8;        // to divide by
  constexpr int kUsualMajor = 100;  // percent: the script may have put off major collections
  const bool is_generational = lua_gc(L, LUA_GCGEN, 0, kUsualMajor) == LUA_GCGEN;
  lua_gc(L, LUA_GCRESTART, 0);
  if (!is_generational) lua_gc(L, LUA_GCINC, 0, 0, 0);
  // Where there is little below, a collection of all gains more.
  if (!is_generational || lua_gc(L, LUA_GCCOUNT, 0) > kLittle * kilobytes_below) return false;
  for (int i = 0; i < kUntilOld; i++) lua_gc(L, LUA_GCSTEP, 0);
  return true;
}

#else

void make_room_for_strings(lua_State*) {}

bool collect_above(lua_State* L) {
  if (above) lua_gc(L, LUA_GCRESTART, 0);
  return false;
}

#endif

}  // namespace

void use_incremental() { incremental = true; }

#if LUA_VERSION_NUM >= 504

void hold(lua_State*) {}

void start(lua_State* L) {
#if LUA_VERSION_RELEASE_NUM >= 50404
  lua_gc(L, LUA_GCRESTART);
#endif
  if (!incremental) lua_gc(L, LUA_GCGEN, 0, 0);
}

#else

void hold(lua_State* L) { lua_gc(L, LUA_GCSTOP, 0); }
void start(lua_State* L) { lua_gc(L, LUA_GCRESTART, 0); }

#endif

#if defined(MOONLET_BUILTIN_MODULE)

void expect_layers(bool expected) { below = expected; }

void unseal() {
  above = true;
  kilobytes_below = kilobytes_sealed;
}

void seal(lua_State* L) { kilobytes_sealed = lua_gc(L, LUA_GCCOUNT, 0); }

#else

void seal(lua_State*) {}

#endif

void collect(lua_State* L) {
  if (below) make_room_for_strings(L);
  if (collect_above(L)) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
#if LUA_VERSION_NUM >= 504
  // After a collection that freed little, 5.4 suspends the generational mode, and the next step would mark
  // everything. Entering the mode anew ends that.
  if (lua_gc(L, LUA_GCINC, 0, 0, 0) == LUA_GCGEN) {
    lua_gc(L, LUA_GCGEN, 0, 0);
    // The incremental mode has left the next collection due when the heap has doubled, and that would be a
    // major one, which writes to everything. A minor one now sets what is due next.
    lua_gc(L, LUA_GCSTEP, 0);
  }
#else
  put_off_first_cycle(L);
#endif
}

}  // namespace moonlet::collector
