// Lua's table of strings: when it grows, that writes to every string, and so to the most of the pages of an
// image below. While a warm-up goes on it does not grow, by making Lua believe that there are fewer strings in
// it.
#pragma once

struct lua_State;

namespace moonlet::string_table {

/// Before a warm-up goes on: from here on the table of `L`, a main thread, does not grow, until it has many
/// times as many strings as it was made for.
void keep(lua_State* L);

/// At the seal: from here on it may, but not soon. Where what was there before is little beside what has come
/// it becomes as large as it would have been.
void settle(lua_State* L);

}  // namespace moonlet::string_table
