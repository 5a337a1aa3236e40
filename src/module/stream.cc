#include "module/stream.h"

#include <errno.h>
#include <stdio.h>

namespace moonlet::module_of_lua {

namespace {

// A file begins with its stream in every version: FILE*, or luaL_Stream.
FILE** stream_at(lua_State* L, int index) {
  if (lua_isuserdata(L, index) == 0 || lua_getmetatable(L, index) == 0) return nullptr;
  luaL_getmetatable(L, LUA_FILEHANDLE);
  const bool is_file = lua_rawequal(L, -1, -2) != 0;
  lua_pop(L, 2);
  return is_file ? static_cast<FILE**>(lua_touserdata(L, index)) : nullptr;
}

#if LUA_VERSION_NUM >= 502

int close_stream(lua_State* L) {
  auto* file = static_cast<luaL_Stream*>(luaL_checkudata(L, 1, LUA_FILEHANDLE));
  return luaL_fileresult(L, fclose(file->f) == 0 ? 1 : 0, nullptr);
}

// A table that holds the value at `kept`: in 5.2 nothing else can be kept with a userdata.
void push_keeper(lua_State* L, int kept) {
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, kept);
  lua_rawseti(L, -2, 1);
}

bool make_file(lua_State* L, int descriptor, const char* mode, int kept) {
  auto* file = static_cast<luaL_Stream*>(lua_newuserdata(L, sizeof(luaL_Stream)));
  file->closef = nullptr;  // closed, as long as it has no stream
  luaL_setmetatable(L, LUA_FILEHANDLE);
  push_keeper(L, kept);
#if LUA_VERSION_NUM >= 504
  lua_setiuservalue(L, -2, 1);
#else
  lua_setuservalue(L, -2);
#endif
  file->f = fdopen(descriptor, mode);
  if (file->f == nullptr) return false;
  file->closef = close_stream;
  return true;
}

#else

// Only io.open makes a file whose environment says how it is closed, and LuaJIT's are of a type that the C API
// cannot make: so a file of the library's gets another stream.
bool make_file(lua_State* L, int descriptor, const char* mode, int kept) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "io");
  lua_getfield(L, -1, "open");
  lua_pushliteral(L, "/dev/null");
  lua_pushstring(L, mode);
  lua_call(L, 2, 2);  // the file, or nil and why
  lua_pop(L, 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  FILE** const stream = stream_at(L, -1);
  if (stream == nullptr) {
    errno = EMFILE;  // /dev/null fails for nothing else
    return false;
  }
  lua_createtable(L, 1, 1);
  lua_pushvalue(L, kept);
  lua_rawseti(L, -2, 1);
  lua_getfenv(L, -2);
  lua_getfield(L, -1, "__close");
  lua_setfield(L, -3, "__close");
  lua_pop(L, 1);
  lua_setfenv(L, -2);
  FILE* const own = fdopen(descriptor, mode);
  if (own == nullptr) return false;
  fclose(*stream);  // nothing was written to it
  *stream = own;
  return true;
}

#endif

}  // namespace

int file_descriptor(lua_State* L, int index) {
  FILE** const stream = stream_at(L, index);
  if (stream == nullptr) return kNoFile;
#if LUA_VERSION_NUM >= 502
  if (reinterpret_cast<luaL_Stream*>(stream)->closef == nullptr) return kClosedFile;
#endif
  return *stream != nullptr ? fileno(*stream) : kClosedFile;
}

bool push_file(lua_State* L, int& descriptor, const char* mode, int kept) {
  const int top = lua_gettop(L);
  if (!make_file(L, descriptor, mode, kept)) {
    const int error = errno;
    lua_settop(L, top);
    errno = error;
    return false;
  }
  descriptor = -1;
  return true;
}

void check_files(lua_State* L) {
  luaL_getmetatable(L, LUA_FILEHANDLE);
  if (!lua_istable(L, -1)) luaL_error(L, "the io library is not open");
  pop(L);
}

}  // namespace moonlet::module_of_lua
