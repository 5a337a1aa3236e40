#include "lua/collector.h"

#include "lua/lua_api.h"
#if defined(MOONLET_LAYERS)
#include "lua/state_words.h"
#include "lua/string_table.h"

#include <stddef.h>
#include <string.h>
#endif

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

#if defined(MOONLET_LAYERS)

bool left_garbage = false;
size_t sealed_size = 0;  // bytes that Lua had in use at the last seal; 0: there was none
constexpr size_t kLittle =
    16;  // times as much: where there is so little below it costs little to write to all of it

size_t size_now(lua_State* L) { return static_cast<size_t>(lua_gc(L, LUA_GCCOUNT, 0)) * 1024; }

#endif

#if LUA_VERSION_NUM >= 504 && defined(MOONLET_LAYERS)

bool was_generational = false;  // at the last seal
bool puts_off = false;          // go_on() has had its way

constexpr int kUntilOld = 3;  // minor collections until what is new is old

void collect_new(lua_State* L) {
  for (int i = 0; i < kUntilOld; i++) lua_gc(L, LUA_GCSTEP, 0);
}

// Whether there was no major collection since go_on(), and the mode is the same.
bool has_put_off(lua_State* L) {
  if (!puts_off || *state_words::collected(L) != sealed_size * kLittle) return false;
  if (lua_gc(L, LUA_GCGEN, 0, 0) == LUA_GCGEN) return true;
  lua_gc(L, LUA_GCINC, 0, 0, 0);
  return false;
}

// What was sealed before a warm-up went on is old, and neither visited nor written by minor collections.
// Returns false, with nothing done, where all has to be collected.
bool collect_on_top(lua_State* L) {
  if (!has_put_off(L)) return false;
  collect_new(L);
  if (size_now(L) > sealed_size * kLittle) return false;
  *state_words::collected(L) = size_now(L);
  return true;
}

#else

bool has_put_off(lua_State*) { return false; }
void collect_new(lua_State*) {}
[[maybe_unused]] bool collect_on_top(lua_State*) { return false; }

#endif

#if LUA_VERSION_NUM < 504

#if defined(MOONLET_LAYERS)

// A cycle marks each object that lives in one of two ways, by turns. So after as many cycles as make it even
// the objects of a warm-up that has gone on are marked as they were when it was sealed, and their pages may be
// the same. Which byte of an object has the mark is seen in the registry, a table. Where that is not seen
// nothing is lost but such pages.
constexpr int kHeader = 12;  // bytes, of which the first are a pointer
int mark_at = 0;             // 0: not known
char mark_at_seal;

const char* registry_table(lua_State* L) {
  return static_cast<const char*>(lua_topointer(L, LUA_REGISTRYINDEX));
}

void find_mark(lua_State* L) {
  char before[kHeader];
  char between[kHeader];
  memcpy(before, registry_table(L), kHeader);
  collect_garbage(L);
  memcpy(between, registry_table(L), kHeader);
  collect_garbage(L);
  for (int i = 4; i < kHeader; i++) {
    if (registry_table(L)[i] != before[i] || between[i] == before[i]) continue;
    mark_at = i;
    mark_at_seal = before[i];
  }
}

bool marks_otherwise(lua_State* L) { return mark_at != 0 && registry_table(L)[mark_at] != mark_at_seal; }

#endif

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
#if defined(MOONLET_LAYERS)
  if (marks_otherwise(L)) collect_garbage(L);
#endif
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
  if (has_put_off(L)) return collect_new(L);
  const bool was_stopped = is_stopped(L);
  lua_gc(L, LUA_GCCOLLECT, 0);
  if (was_stopped) lua_gc(L, LUA_GCSTOP, 0);
}

namespace {

void collect_all(lua_State* L) {
  [[maybe_unused]] constexpr int kHalvings = 3;
  collect_garbage(L);
#if LUA_VERSION_NUM >= 504
  // After a collection that freed little, 5.4 suspends the generational mode, and the next step would mark
  // everything. Entering the mode anew ends that.
  const bool is_generational = lua_gc(L, LUA_GCINC, 0, 0, 0) == LUA_GCGEN;
  if (is_generational) {
    // In this mode each collection frees half of what calls within calls have left (lstate.c, CallInfo), in the
    // midst of other things, where a launch's own would write to it.
    for (int i = 0; i < kHalvings; i++) lua_gc(L, LUA_GCCOLLECT, 0);
    lua_gc(L, LUA_GCGEN, 0, 0);
    // The incremental mode has left the next collection due when the heap has doubled, and that would be a
    // major one, which writes to everything. A minor one now sets what is due next.
    lua_gc(L, LUA_GCSTEP, 0);
  }
#if defined(MOONLET_LAYERS)
  was_generational = is_generational;
#endif
#else
  put_off_first_cycle(L);
#endif
}

}  // namespace

#if defined(MOONLET_LAYERS)

void collect(lua_State* L) {
  string_table::settle(L);
  left_garbage = collect_on_top(L);
  if (!left_garbage) collect_all(L);
  sealed_size = size_now(L);
}

bool has_left_garbage() { return left_garbage; }

void go_on(lua_State* L) {
  string_table::keep(L);
#if LUA_VERSION_NUM >= 504
  size_t* const collected = state_words::collected(L);
  puts_off = was_generational && collected != nullptr;
  if (puts_off) *collected = sealed_size * kLittle;
#else
  find_mark(L);
#endif
}

#else

void collect(lua_State* L) { collect_all(L); }
bool has_left_garbage() { return false; }
void go_on(lua_State*) {}

#endif

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
