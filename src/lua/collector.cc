#include "lua/collector.h"

#include "lua/lua_api.h"

// Lua 5.1 tells nobody whether its collector is stopped.
#if LUA_VERSION_NUM < 502 && !defined(MOONLET_LUAJIT) && defined(MOONLET_LUA_IS_SHARED)
#define MOONLET_SEES_STOPS 1
#else
#define MOONLET_SEES_STOPS 0
#endif

#if MOONLET_SEES_STOPS
#include <dlfcn.h>
#endif

namespace moonlet::collector {

namespace {

#if LUA_VERSION_NUM >= 502

// Here a collection starts no collector that is stopped.
bool is_stopped(lua_State*) { return false; }

#elif defined(MOONLET_LUAJIT)

bool is_stopped(lua_State* L) { return lua_gc(L, LUA_GCISRUNNING, 0) == 0; }

#elif MOONLET_SEES_STOPS

bool stopped = false;
const void* registry = nullptr;  // of the state that is meant: a library may have states of its own

bool is_stopped(lua_State*) { return stopped; }

#else

bool is_stopped(lua_State*) { return false; }

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
  collect_garbage(L);  // which is when the pause takes effect
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

void hold(lua_State* L) {
#if MOONLET_SEES_STOPS
  registry = lua_topointer(L, LUA_REGISTRYINDEX);
#endif
  lua_gc(L, LUA_GCSTOP, 0);
}
void start(lua_State* L) { lua_gc(L, LUA_GCRESTART, 0); }

#endif

void collect_garbage(lua_State* L) {
  const bool was_stopped = is_stopped(L);
  lua_gc(L, LUA_GCCOLLECT, 0);
  if (was_stopped) lua_gc(L, LUA_GCSTOP, 0);
}

void collect(lua_State* L) {
  collect_garbage(L);
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

#if MOONLET_SEES_STOPS

// Stands in front of liblua's, for liblua itself and for every C module.
extern "C" [[gnu::visibility("default")]] int lua_gc(lua_State* L, int what, int data) {
  using Function = int (*)(lua_State*, int, int);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "lua_gc"));
  namespace collector = moonlet::collector;
  const bool is_meant = lua_topointer(L, LUA_REGISTRYINDEX) == collector::registry;
  if (is_meant && what == LUA_GCSTOP) collector::stopped = true;
  if (is_meant && (what == LUA_GCRESTART || what == LUA_GCCOLLECT || what == LUA_GCSTEP))
    collector::stopped = false;
  return real(L, what, data);
}

#endif
