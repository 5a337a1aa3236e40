#include "lua/collector.h"

#include "lua/lua_api.h"
#include "lua/major_base.h"

#include <string.h>

namespace moonlet::collector {

namespace {

[[maybe_unused]] bool incremental = false;  // whatever lua would choose

bool below = false;  // what is sealed is to have more on top of it
bool is_layer = false;
[[maybe_unused]] int kilobytes_sealed = 0;  // that Lua had in use at the last seal
[[maybe_unused]] int kilobytes_below = 0;

// When Lua's table of strings grows, it writes to every string. So this makes the table twice as large as its
// strings need: what comes on top can have its own strings without such a write. No collection may run
// meanwhile: it would shrink the table. One has to follow.
void make_room_for_strings(lua_State* L) {
  constexpr int kOneString = 256;  // bytes, at most; the smallest table takes as much more
  constexpr int kMost = 1 << 20;
  const auto bytes = [L] { return lua_gc(L, LUA_GCCOUNT, 0) * 1024 + lua_gc(L, LUA_GCCOUNTB, 0); };
#if defined(LUA_GCISRUNNING)
  const bool is_running = lua_gc(L, LUA_GCISRUNNING, 0) != 0;
#else
  const bool is_running = true;  // after a collection it does
#endif
  lua_gc(L, LUA_GCSTOP, 0);
  for (int i = 0, before = bytes(), grown = 0; grown < kOneString && i < kMost; i++) {
    lua_pushfstring(L, "moonlet %d", i);
    pop(L);
    grown = bytes() - before;
    before += grown;
  }
  if (is_running) lua_gc(L, LUA_GCRESTART, 0);
}

#if LUA_VERSION_NUM < 504

// A cycle marks each object that lives in one of two ways, by turns. So after as many cycles as make it even
// the objects of a warm-up that has gone on are marked as they were when it was sealed, and their pages may be
// the same. Which byte of an object has the mark is seen in the registry, a table. Where that is not seen
// nothing is lost but such pages.
constexpr int kHeader = 12;  // bytes, of which the first are a pointer
int mark_at = 0;             // 0: not known
char mark_at_seal;

const char* registry(lua_State* L) { return static_cast<const char*>(lua_topointer(L, LUA_REGISTRYINDEX)); }

void find_mark(lua_State* L) {
  char before[kHeader];
  char between[kHeader];
  memcpy(before, registry(L), kHeader);
  lua_gc(L, LUA_GCCOLLECT, 0);
  memcpy(between, registry(L), kHeader);
  lua_gc(L, LUA_GCCOLLECT, 0);
  for (int i = 4; i < kHeader; i++) {
    if (registry(L)[i] != before[i] || between[i] == before[i]) continue;
    mark_at = i;
    mark_at_seal = before[i];
  }
}

bool marks_otherwise(lua_State* L) { return mark_at != 0 && registry(L)[mark_at] != mark_at_seal; }

// Where the collector has no generations its first cycle writes to every object of the warm heap. As in lua,
// the cycle begins when the heap has grown to twice what the last one left, but not before it has grown by this
// much: most scripts are gone before.
constexpr int kFirstCycleKilobytes = 512;

void put_off_first_cycle(lua_State* L) {
  const int kilobytes = lua_gc(L, LUA_GCCOUNT, 0) + 1;
  const int pause = lua_gc(L, LUA_GCSETPAUSE, 200);
  const int put_off = 100 + 100 * kFirstCycleKilobytes / kilobytes;
  if (below) make_room_for_strings(L);
  lua_gc(L, LUA_GCSETPAUSE, put_off > pause ? put_off : pause);
  lua_gc(L, LUA_GCCOLLECT, 0);  // which is when the pause takes effect
  if (marks_otherwise(L)) lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCSETPAUSE, pause);
}

#endif

#if LUA_VERSION_NUM >= 504

bool was_generational = false;  // at the last seal
bool puts_off = false;          // go_on() has had its way

constexpr int kUntilOld = 3;  // minor collections until what is new is old
constexpr int kLittle = 8;    // times as much on top: there is little below, and a collection of all gains more

void collect_new(lua_State* L) {
  for (int i = 0; i < kUntilOld; i++) lua_gc(L, LUA_GCSTEP, 0);
}

size_t put_off_to() { return static_cast<size_t>(kilobytes_below) * 1024 * kLittle; }

// Whether there was no major collection since go_on(), and the mode is the same.
bool has_put_off(lua_State* L) {
  if (!puts_off || major_base::get(L) != put_off_to()) return false;
  if (lua_gc(L, LUA_GCGEN, 0, 0) == LUA_GCGEN) return true;
  lua_gc(L, LUA_GCINC, 0, 0, 0);
  return false;
}

// What was sealed before a warm-up went on is old, and neither visited nor written by minor collections.
// Returns false, with nothing done, where all has to be collected.
bool collect_on_top(lua_State* L) {
  if (!has_put_off(L)) return false;
  collect_new(L);
  const auto size = static_cast<size_t>(lua_gc(L, LUA_GCCOUNT, 0)) * 1024;
  if (size > put_off_to()) return false;
  major_base::set(L, size);
  return true;
}

// A layer whose script has stopped a generational collector has not written to old objects, and so shares them
// with the image below. A collection of all would. Instead, what is new gets old in three minor collections.
// Returns false, with nothing done, for any other image.
bool collect_above(lua_State* L) {
  if (!is_layer || lua_gc(L, LUA_GCISRUNNING, 0) != 0) return false;
  constexpr int kUsualMajor = 100;  // percent: the script may have put off major collections
  const bool is_generational = lua_gc(L, LUA_GCGEN, 0, kUsualMajor) == LUA_GCGEN;
  lua_gc(L, LUA_GCRESTART, 0);
  if (!is_generational) lua_gc(L, LUA_GCINC, 0, 0, 0);
  // Where there is little below, a collection of all gains more.
  if (!is_generational || lua_gc(L, LUA_GCCOUNT, 0) > kLittle * kilobytes_below) return false;
  collect_new(L);
  return true;
}

#else

bool has_put_off(lua_State*) { return false; }
void collect_new(lua_State*) {}
bool collect_on_top(lua_State*) { return false; }

bool collect_above(lua_State* L) {
  if (is_layer) lua_gc(L, LUA_GCRESTART, 0);
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

void expect_more(bool expected) { below = expected; }

void unseal() {
  is_layer = true;
  kilobytes_below = kilobytes_sealed;
}

#if LUA_VERSION_NUM >= 504

void go_on(lua_State* L) {
  kilobytes_below = kilobytes_sealed;
  puts_off = was_generational && major_base::find();
  if (puts_off) major_base::set(L, put_off_to());
}

#else

void go_on(lua_State* L) { find_mark(L); }

#endif

void seal(lua_State* L) { kilobytes_sealed = lua_gc(L, LUA_GCCOUNT, 0); }

void collect_garbage(lua_State* L) {
  if (has_put_off(L)) return collect_new(L);
  lua_gc(L, LUA_GCCOLLECT, 0);
}

namespace {

void collect_all(lua_State* L) {
  lua_gc(L, LUA_GCCOLLECT, 0);
#if LUA_VERSION_NUM >= 504
  // After a collection that freed little, 5.4 suspends the generational mode, and the next step would mark
  // everything. Entering the mode anew ends that.
  was_generational = lua_gc(L, LUA_GCINC, 0, 0, 0) == LUA_GCGEN;
  if (was_generational) {
    // In this mode each collection frees half of what calls within calls have left (lstate.c, CallInfo), in the
    // midst of other things, where a launch's own would write to it.
    for (int i = 0; i < 3; i++) lua_gc(L, LUA_GCCOLLECT, 0);
    lua_gc(L, LUA_GCGEN, 0, 0);
    // The incremental mode has left the next collection due when the heap has doubled, and that would be a
    // major one, which writes to everything. A minor one now sets what is due next.
    lua_gc(L, LUA_GCSTEP, 0);
  }
#else
  put_off_first_cycle(L);
#endif
}

}  // namespace

void collect(lua_State* L) {
  if (!collect_on_top(L) && !collect_above(L)) collect_all(L);
#if LUA_VERSION_NUM >= 504
  if (!below) return;
  make_room_for_strings(L);
  lua_gc(L, LUA_GCSTEP, 0);
#endif
}

}  // namespace moonlet::collector
