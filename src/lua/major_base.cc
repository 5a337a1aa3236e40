#include "lua/major_base.h"

#include "lua/lua_api.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace moonlet::major_base {

#if LUA_VERSION_NUM == 504

namespace {

// The first block of a state holds its main thread, and behind that what all threads have in common (lstate.c,
// LG).
struct Block {
  const char* at = nullptr;
  size_t size = 0;
};

void* allocate(void* context, void* block, size_t, size_t size) {
  if (size == 0) {
    free(block);
    return nullptr;
  }
  void* const resized = realloc(block, size);
  auto* const first = static_cast<Block*>(context);
  if (first->at == nullptr) *first = {static_cast<const char*>(resized), size};
  return resized;
}

size_t bytes_in_use(lua_State* L) {
  return static_cast<size_t>(lua_gc(L, LUA_GCCOUNT, 0)) * 1024 +
         static_cast<size_t>(lua_gc(L, LUA_GCCOUNTB, 0));
}

// To enter the mode is to make a major collection.
size_t collect(lua_State* L) {
  lua_gc(L, LUA_GCINC, 0, 0, 0);
  lua_gc(L, LUA_GCGEN, 0, 0);
  return bytes_in_use(L);
}

ptrdiff_t offset = 0;  // from the main thread; 0: not known

// The one word that was `size` after one collection, and is `now` after another.
ptrdiff_t find_word(lua_State* L, const Block& before, size_t size, const Block& block, size_t now) {
  ptrdiff_t found = 0;
  int count = 0;
  for (size_t at = 0; at + sizeof(size_t) <= block.size; at += sizeof(size_t)) {
    size_t old_word;
    size_t word;
    memcpy(&old_word, before.at + at, sizeof word);
    memcpy(&word, block.at + at, sizeof word);
    if (old_word != size || word != now) continue;
    found = block.at + at - reinterpret_cast<const char*>(L);
    count++;
  }
  return count == 1 ? found : 0;
}

}  // namespace

bool find() {
  if (offset != 0) return true;
  Block block;
  lua_State* const L = lua_newstate(allocate, &block);
  if (L == nullptr) return false;
  lua_newuserdata(L, 100);
  const size_t size = collect(L);
  auto* const copy = static_cast<char*>(malloc(block.size));
  if (copy != nullptr) {
    memcpy(copy, block.at, block.size);
    lua_newuserdata(L, 12345);
    const size_t now = collect(L);
    offset = find_word(L, {copy, block.size}, size, block, now);
  }
  free(copy);
  lua_close(L);
  return offset != 0;
}

size_t get(lua_State* L) {
  size_t size;
  memcpy(&size, reinterpret_cast<const char*>(L) + offset, sizeof size);
  return size;
}

void set(lua_State* L, size_t size) { memcpy(reinterpret_cast<char*>(L) + offset, &size, sizeof size); }

#else

bool find() { return false; }
size_t get(lua_State*) { return 0; }
void set(lua_State*, size_t) {}

#endif

}  // namespace moonlet::major_base
