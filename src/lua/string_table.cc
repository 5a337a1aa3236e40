#include "lua/string_table.h"

#include "lua/lua_api.h"
#include "lua/state_words.h"
#include "lua/threaded_heap.h"

#include <stdio.h>

namespace moonlet::string_table {

namespace {

int* strings = nullptr;  // state_words::strings(); null: the table may grow
int hidden = 0;          // strings that Lua does not know of
int below;               // how many there were at keep()

// Strings for each that the table was made for: a look-up takes the longer the more there are. And how many
// there are for each that was there before: then it costs little to write to these.
constexpr int kMost = 8;

// Each new string takes a block, and each that goes gives one back. Lua looks at their number when it makes
// one, and at the end of a collection: the table shrinks where it has but a quarter.
void keep_between() {
  const int size = strings[1];
  const int most = size - size / 8;
  int hides = 0;
  if (strings[0] >= size - 2 && (strings[0] + hidden) / kMost < size) hides = strings[0] - most;
  if (strings[0] < size / 2) hides = -(hidden < most - strings[0] ? hidden : most - strings[0]);
  hidden += hides;
  strings[0] -= hides;
}

void grow(lua_State* L) {
  for (int i = 0; strings[1] <= strings[0] && i < kMost * strings[0]; i++) {
    char text[24];
    snprintf(text, sizeof text, "a string %d", i);
    lua_pushstring(L, text);
    pop(L);
  }
}

}  // namespace

void keep(lua_State* L) {
  state_words::find();
  strings = state_words::strings(L);
  if (strings == nullptr) return;
  below = strings[0] + hidden;
  heap::observe = keep_between;
}

void settle(lua_State* L) {
  heap::observe = nullptr;
  if (strings == nullptr) return;
  const int size = strings[1];
  strings[0] += hidden;
  hidden = 0;
  if (strings[0] >= size && strings[0] / kMost >= below) {
    grow(L);
  } else if (strings[0] > size / 4 * 3) {
    hidden = strings[0] - size / 2;
    strings[0] = size / 2;
  }
  strings = nullptr;
}

}  // namespace moonlet::string_table
