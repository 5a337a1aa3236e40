#include "module/spawn.h"

#include "lua/lua_api.h"
#include "module/handle.h"
#include "module/launch.h"
#include "module/stream.h"
#include "protocol/socket_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::module_of_lua {

namespace {

using protocol::OutgoingRequest;
using protocol::Refusal;
using protocol::RefusalText;

// In the order of the stack, below.
constexpr const char* kOptions[] = {"socket", "cwd", "env", "stdin", "stdout", "stderr"};
constexpr const char* const* kStreamNames = kOptions + 3;

// Where things are on the stack. What a text was read from stays there, so that the text does.
enum : int {
  kTable = 1,
  kHandle,
  kSocket,
  kDirectory,
  kEnvironment,
  kStdin,
  kStrings = kStdin + Handle::kStreams  // the list of them all
};

// "bad argument #1 to 'spawn' (NAME: WHAT)"
int refuse(lua_State* L, const char* name, const char* what) {
  return luaL_argerror(L, kTable, lua_pushfstring(L, "%s: %s", name, what));
}

int refuse_type(lua_State* L, const char* name, const char* expected, int index) {
  return refuse(L, name, lua_pushfstring(L, "%s expected, got %s", expected, luaL_typename(L, index)));
}

// The text at `index`, which is a string or becomes one there.
const char* check_text(lua_State* L, const char* name, int index) {
  if (lua_isstring(L, index) == 0) refuse_type(L, name, "string", index);
  size_t length = 0;
  const char* text = lua_tolstring(L, index, &length);
  if (strlen(text) != length) refuse(L, name, "string contains zeros");
  return text;
}

const char* optional_text(lua_State* L, const char* name, int index) {
  if (lua_isnil(L, index)) return nullptr;
  if (lua_type(L, index) != LUA_TSTRING) refuse_type(L, name, "string", index);
  return check_text(L, name, index);
}

// Nothing is overlooked: a name that is misspelt would be, and what comes behind a nil.
void check_names(lua_State* L, int arguments) {
  for (lua_pushnil(L); lua_next(L, kTable) != 0; pop(L)) {
    bool known = false;
    if (lua_type(L, -2) == LUA_TNUMBER) {
      const lua_Number number = lua_tonumber(L, -2);
      known = number >= 1 && number <= arguments && number == static_cast<int>(number);
    } else if (lua_type(L, -2) == LUA_TSTRING) {
      for (const char* name : kOptions) known = known || strcmp(name, lua_tostring(L, -2)) == 0;
    }
    if (known) continue;
    lua_pushvalue(L, -2);  // lua_next wants its key as it is
    const char* text = lua_tostring(L, -1);
    refuse(L, text != nullptr ? text : luaL_typename(L, -1), "no such option");
  }
}

// Appends the string on top of the stack to the list at kStrings, and pops it.
void append(lua_State* L, int& count) { lua_rawseti(L, kStrings, ++count); }

// The script's arguments, behind the name of the program. Returns how many there are.
int list_arguments(lua_State* L) {
  int count = 0;
  lua_pushliteral(L, MOONLET_FALLBACK_NAME);
  append(L, count);
  for (;;) {
    lua_rawgeti(L, kTable, count);
    if (lua_isnil(L, -1)) break;
    if (lua_isstring(L, -1) == 0) refuse_type(L, lua_pushfstring(L, "[%d]", count), "string", -2);
    check_text(L, "an argument", -1);
    append(L, count);
  }
  pop(L);
  if (count == 1) luaL_argerror(L, kTable, "a script is missing");
  check_names(L, count - 1);
  return count;
}

// What `env` holds, as "NAME=VALUE" behind the `count` strings that are there. Returns how many there are.
int list_environment(lua_State* L, int count) {
  if (!lua_istable(L, kEnvironment)) refuse_type(L, "env", "table", kEnvironment);
  for (lua_pushnil(L); lua_next(L, kEnvironment) != 0;) {
    if (lua_type(L, -2) != LUA_TSTRING) refuse(L, "env", "a name must be a string");
    const char* name = check_text(L, "env", -2);
    if (*name == '\0' || strchr(name, '=') != nullptr)
      refuse(L, "env", lua_pushfstring(L, "'%s' is no name of a variable", name));
    if (lua_isstring(L, -1) == 0) refuse_type(L, lua_pushfstring(L, "env.%s", name), "string", -2);
    check_text(L, "env", -1);
    lua_pushvalue(L, -2);
    lua_pushliteral(L, "=");
    lua_pushvalue(L, -3);
    lua_concat(L, 3);
    append(L, count);
    pop(L);
  }
  return count;
}

// argv and the environment of `request`, whose strings stay in the list. Pushes what the request points to.
void gather_strings(lua_State* L, OutgoingRequest& request) {
  const int arguments = list_arguments(L);
  int strings = arguments;
  size_t variables = 0;
  if (lua_isnil(L, kEnvironment)) {
    while (environ[variables] != nullptr) variables++;
  } else {
    strings = list_environment(L, arguments);
    variables = static_cast<size_t>(strings - arguments);
  }
  const auto pointers = static_cast<size_t>(strings) + 2;
  const size_t all = static_cast<size_t>(arguments) + variables;
  auto** next = static_cast<char**>(lua_newuserdata(L, pointers * sizeof(char*) + all * sizeof(uint32_t)));
  request.list[0] = next;
  request.list[1] = environ;
  for (int i = 1; i <= strings; i++) {
    lua_rawgeti(L, kStrings, i);
    *next++ = const_cast<char*>(lua_tostring(L, -1));
    pop(L);
    if (i == arguments) *next++ = nullptr;
    if (i == arguments && !lua_isnil(L, kEnvironment)) request.list[1] = next;
  }
  *next++ = nullptr;
  request.length = reinterpret_cast<uint32_t*>(next);
  request.header.argc = static_cast<uint32_t>(arguments);
  request.header.envc = static_cast<uint32_t>(variables);
  protocol::measure(request);
}

// What the script gets as descriptor `number`. False if that cannot be had: errno says why.
bool take_stream(lua_State* L, Handle& handle, int number) {
  const char* name = kStreamNames[number];
  const int index = kStdin + number;
  int& passed = handle.passed[number];
  bool& owned = handle.owned[number];
  if (lua_isnil(L, index)) {
    passed = fcntl(number, F_GETFD) >= 0 ? number : -1;
    return true;
  }
  if (lua_type(L, index) == LUA_TNUMBER) {
    const lua_Number descriptor = lua_tonumber(L, index);
    passed = descriptor >= 0 && descriptor <= 0x7fffffff ? static_cast<int>(descriptor) : -1;
    if (passed < 0 || passed != descriptor) refuse(L, name, "no number of a descriptor");
    return fcntl(passed, F_GETFD) >= 0;
  }
  const char* text = lua_tostring(L, index);
  if (text != nullptr && strcmp(text, "null") == 0) {
    passed = open("/dev/null", O_RDWR | O_CLOEXEC);
    owned = passed >= 0;
    return owned;
  }
  if (text != nullptr && strcmp(text, "pipe") == 0) {
    check_files(L);
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    const bool is_input = number == STDIN_FILENO;
    passed = ends[is_input ? 0 : 1];
    handle.own_end[number] = ends[is_input ? 1 : 0];
    owned = true;
    return true;
  }
  const int descriptor = file_descriptor(L, index);
  if (descriptor == kClosedFile) refuse(L, name, "the file is closed");
  if (descriptor == kNoFile) {
    refuse(L, name,
           text != nullptr ? "neither \"pipe\" nor \"null\""
                           : lua_pushfstring(L, "file, descriptor, \"pipe\" or \"null\" expected, got %s",
                                             luaL_typename(L, index)));
  }
  passed = descriptor;
  return true;
}

// Closes the handle, and returns nil, why, and errno if there is one.
int fail(lua_State* L, Handle& handle, const Refusal& first, const Refusal* second) {
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  for (const Refusal* refusal = &first; refusal != nullptr; refusal = refusal == &first ? second : nullptr) {
    if (refusal == second) luaL_addchar(&text, '\n');
    const RefusalText its(*refusal);
    for (const char* const part : its.part) luaL_addstring(&text, part);
  }
  luaL_pushresult(&text);
  const int error = second != nullptr ? second->error : first.error;
  close_handle(handle);
  lua_pushnil(L);
  lua_insert(L, -2);
  if (error == 0) return 2;
  lua_pushinteger(L, error);
  return 3;
}

// True if the server has started the script; else `refusal` says why not.
bool launch(lua_State* L, Handle& handle, OutgoingRequest& request, Refusal& refusal) {
  const protocol::SocketAddress address = protocol::socket_address(optional_text(L, "socket", kSocket));
  if (ask_server(handle, address, request, refusal)) {
    while (!await(L, handle.script.connection, -1) || await_answer(handle, address, refusal)) {
    }
  }
  if (handle.script.pid > 0) return true;
  // The path is in the address, which ends here.
  lua_pushstring(L, refusal.on);
  refusal.on = lua_tostring(L, -1);
  close_connection(handle);
  return false;
}

}  // namespace

int spawn(lua_State* L) {
  luaL_checktype(L, kTable, LUA_TTABLE);
  lua_settop(L, kTable);
  luaL_checkstack(L, kStrings + LUA_MINSTACK, nullptr);
  Handle& handle = *push_handle(L);
  for (const char* name : kOptions) lua_getfield(L, kTable, name);
  lua_newtable(L);
  OutgoingRequest request = {};
  gather_strings(L, request);
  optional_text(L, "socket", kSocket);
  const char* directory = optional_text(L, "cwd", kDirectory);
  int& passed_directory = handle.passed[Handle::kDirectory];
  passed_directory = directory != nullptr ? open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC)
                                          : protocol::open_working_directory();
  if (passed_directory < 0)
    return fail(L, handle, {"enter", directory != nullptr ? directory : ".", errno}, nullptr);
  handle.owned[Handle::kDirectory] = true;
  for (int i = 0; i < Handle::kStreams; i++) {
    if (!take_stream(L, handle, i)) return fail(L, handle, {"pass", kStreamNames[i], errno}, nullptr);
  }
  fflush(nullptr);  // as io.popen does: what is written comes before what the script writes

  Refusal refusal = {};
  if (!launch(L, handle, request, refusal)) {
    const char* interpreter = fallback();
    if (interpreter == nullptr) return fail(L, handle, refusal, nullptr);
    Refusal second = {};
    if (!run_fallback(handle, interpreter, request.list[0], request.list[1], second))
      return fail(L, handle, refusal, &second);
  }
  close_passed(handle);
  lua_pushinteger(L, handle.script.pid);
  set_field(L, kHandle, "pid");
  for (int i = 0; i < Handle::kStreams; i++) {
    if (handle.own_end[i] < 0) continue;
    if (!push_file(L, handle.own_end[i], i == STDIN_FILENO ? "w" : "r", kHandle))
      return fail(L, handle, {"make a file of", kStreamNames[i], errno}, nullptr);
    set_field(L, kHandle, kStreamNames[i]);
  }
  lua_pushvalue(L, kHandle);
  return 1;
}

}  // namespace moonlet::module_of_lua
