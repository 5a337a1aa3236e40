// Descriptors as Lua's own files, and back.
#pragma once

#include "lua/lua_api.h"

namespace moonlet::module_of_lua {

constexpr int kClosedFile = -1;
constexpr int kNoFile = -2;

/// The descriptor of the Lua file at `index`, which stays the file's, or one of the above.
int file_descriptor(lua_State* L, int index);

/// Pushes a Lua file for `descriptor`, which is the file's from then on and is -1 here. `mode` is fopen(3)'s.
/// While the file lives, so does the value at `kept`, a positive index. False if it cannot be made: then
/// nothing is pushed, and errno says why. Raises Lua errors.
bool push_file(lua_State* L, int& descriptor, const char* mode, int kept);

/// Raises an error if this state has no files, because its io library is not open.
void check_files(lua_State* L);

}  // namespace moonlet::module_of_lua
