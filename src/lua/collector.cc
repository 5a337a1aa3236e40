#include "lua/collector.h"

#include "lua/lua_api.h"

namespace moonlet::collector {

namespace {

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

}  // namespace

#if LUA_VERSION_NUM >= 504

void hold(lua_State*) {}

void start(lua_State* L) {
#if LUA_VERSION_RELEASE_NUM >= 50404
  lua_gc(L, LUA_GCRESTART);
#endif
  lua_gc(L, LUA_GCGEN, 0, 0);
}

#else

void hold(lua_State* L) { lua_gc(L, LUA_GCSTOP, 0); }
void start(lua_State* L) { lua_gc(L, LUA_GCRESTART, 0); }

#endif

void collect(lua_State* L) {
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
