#include "lua/state_words.h"

#include "base/memory.h"
#include "lua/lua_api.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

namespace moonlet::state_words {

namespace {

// Offsets from the main thread.
constexpr ptrdiff_t kUnknown = PTRDIFF_MAX;
ptrdiff_t of_collected = kUnknown;
ptrdiff_t of_strings = kUnknown;

#if !defined(MOONLET_LUAJIT)

// What an experiment works with: in one mapping, so that nothing of it is left in malloc's heap.
struct Room {
  static constexpr size_t kBlocks = 1 << 20;  // bytes
  static constexpr size_t kBlock = 8 << 10;   // bytes of a state's first block, at most

  char* first;  // block of a state, which holds its main thread, and what all threads have in common (lstate.c,
                // LG)
  size_t first_size;
  size_t used;
  char before[kBlock];
  char between[kBlock];
  alignas(16) char blocks[kBlocks];

  void take(char (&copy)[kBlock]) const { memcpy(copy, first, first_size); }
};

// Gives nothing back.
void* allocate(void* context, void* block, size_t old_size, size_t size) {
  auto* const room = static_cast<Room*>(context);
  if (size == 0) return nullptr;
  if (block != nullptr && size <= old_size) return block;
  const size_t rounded = (size + 15) & ~size_t{15};
  if (rounded > Room::kBlocks - room->used) return nullptr;
  char* const taken = room->blocks + room->used;
  room->used += rounded;
  if (block != nullptr) memcpy(taken, block, old_size);
  if (room->first == nullptr) {
    room->first = taken;
    room->first_size = size;
  }
  return taken;
}

// The offset of the only word for which is_it(before, between, now) holds.
template <typename Word, typename IsIt>
ptrdiff_t find_word(lua_State* L, const Room& room, const IsIt& is_it) {
  ptrdiff_t found = kUnknown;
  int count = 0;
  for (size_t at = 0; at + sizeof(Word) <= room.first_size; at += sizeof(Word)) {
    Word words[3];
    memcpy(&words[0], room.before + at, sizeof(Word));
    memcpy(&words[1], room.between + at, sizeof(Word));
    memcpy(&words[2], room.first + at, sizeof(Word));
    if (!is_it(words[0], words[1], words[2])) continue;
    found = room.first + at - reinterpret_cast<const char*>(L);
    count++;
  }
  return count == 1 ? found : kUnknown;
}

void add_strings(lua_State* L, int first, int count) {
  for (int i = first; i < first + count; i++) {
    char text[24];
    snprintf(text, sizeof text, "a string %d", i);
    lua_pushstring(L, text);
    pop(L);
  }
}

void find_strings(lua_State* L, Room& room) {
  constexpr int kSome = 7;
  constexpr int kMore = 11;
  lua_gc(L, LUA_GCSTOP, 0);
  room.take(room.before);
  add_strings(L, 0, kSome);
  room.take(room.between);
  add_strings(L, kSome, kMore);
  of_strings = find_word<int>(L, room, [](int before, int between, int now) {
    return before > 0 && between == before + kSome && now == between + kMore;
  });
  if (of_strings == kUnknown) return;
  const int size = strings(L)[1];
  if (size < strings(L)[0] / 2 || (size & (size - 1)) != 0) of_strings = kUnknown;
}

#if LUA_VERSION_NUM == 504

// To enter the mode is to make a major collection.
size_t collect(lua_State* L) {
  lua_gc(L, LUA_GCINC, 0, 0, 0);
  lua_gc(L, LUA_GCGEN, 0, 0);
  return static_cast<size_t>(lua_gc(L, LUA_GCCOUNT, 0)) * 1024 +
         static_cast<size_t>(lua_gc(L, LUA_GCCOUNTB, 0));
}

void find_collected(lua_State* L, Room& room) {
  lua_gc(L, LUA_GCRESTART);
  lua_newuserdata(L, 100);
  const size_t first = collect(L);
  room.take(room.before);
  lua_newuserdata(L, 5000);
  const size_t second = collect(L);
  room.take(room.between);
  lua_newuserdata(L, 12345);
  const size_t third = collect(L);
  of_collected = find_word<size_t>(L, room, [=](size_t before, size_t between, size_t now) {
    return before == first && between == second && now == third;
  });
}

#else

void find_collected(lua_State*, Room&) {}

#endif

#endif

}  // namespace

#if defined(MOONLET_LUAJIT)

void find() {}

#else

void find() {
  if (of_strings != kUnknown) return;
  void* const memory =
      mmap(nullptr, sizeof(Room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  auto* const room = static_cast<Room*>(memory);
#if LUA_VERSION_NUM >= 505
  lua_State* const L = lua_newstate(allocate, room, 0);
#else
  lua_State* const L = lua_newstate(allocate, room);
#endif
  if (L != nullptr && room->first_size <= Room::kBlock) {
    find_strings(L, *room);
    find_collected(L, *room);
  }
  munmap(memory, sizeof(Room));  // which is all that lua_close(3) would do
}

#endif

size_t* collected(lua_State* L) {
  if (of_collected == kUnknown) return nullptr;
  return reinterpret_cast<size_t*>(reinterpret_cast<char*>(L) + of_collected);
}

int* strings(lua_State* L) {
  if (of_strings == kUnknown) return nullptr;
  return reinterpret_cast<int*>(reinterpret_cast<char*>(L) + of_strings);
}

}  // namespace moonlet::state_words
