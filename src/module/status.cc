#include "module/status.h"

#include "image/inspection.h"
#include "protocol/answer.h"
#include "protocol/problem.h"
#include "protocol/reload.h"
#include "protocol/running_script.h"
#include "protocol/socket_path.h"

#include <stdint.h>
#include <string.h>

namespace moonlet::module_of_lua {

namespace {

using protocol::Problem;

// Lives in a userdata, so that an error of Lua's loses no memory.
struct Asked {
  protocol::Answer answer;
  image::Inspection image;
  protocol::RunningScript script;
};

int release(lua_State* L) {
  auto* asked = static_cast<Asked*>(lua_touserdata(L, 1));
  release(asked->answer);
  asked->image.forget();
  free_bytes(asked->script.command);
  return 0;
}

Asked& push_asked(lua_State* L) {
  auto* asked = static_cast<Asked*>(lua_newuserdata(L, sizeof(Asked)));
  *asked = {};
  lua_newtable(L);
  lua_pushcfunction(L, release);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return *asked;
}

protocol::SocketAddress check_socket(lua_State* L) {
  size_t length = 0;
  if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TSTRING);
  const char* const name = lua_tolstring(L, 1, &length);
  luaL_argcheck(L, name == nullptr || strlen(name) == length, 1, "string contains zeros");
  return protocol::socket_address(name);
}

int fail(lua_State* L, const Problem& problem) {
  lua_pushnil(L);
  lua_pushfstring(L, "moonlet: %s", problem.text);
  if (problem.error == 0) return 2;
  lua_pushinteger(L, problem.error);
  return 3;
}

// Each sets a field of the table on top of the stack.

void set_number(lua_State* L, const char* name, uint64_t value) {
  // Lua's integers may have 32 bits.
  if (sizeof(lua_Integer) > 4 || value <= INT32_MAX) {
    lua_pushinteger(L, static_cast<lua_Integer>(value));
  } else {
    lua_pushnumber(L, static_cast<lua_Number>(value));
  }
  lua_setfield(L, -2, name);
}

void set_string(lua_State* L, const char* name, const char* value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

// A list of strings on top of the stack.
struct List {
  lua_State* L;
  int length = 0;

  explicit List(lua_State* state) : L(state) { lua_newtable(L); }
  void add(const char* text) {
    lua_pushstring(L, text);
    lua_rawseti(L, -2, ++length);
  }
  static void add_to(const char* text, void* list) { static_cast<List*>(list)->add(text); }
  // Sets a field of the table below.
  void set(const char* name) const { lua_setfield(L, -2, name); }
};

// The arguments from `first` on, with spaces between them.
void set_script(lua_State* L, const char* first, const char* end) {
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (const char* at = first; at < end; at += strlen(at) + 1) {
    if (at != first) luaL_addchar(&line, ' ');
    luaL_addstring(&line, at);
  }
  luaL_pushresult(&line);
  lua_setfield(L, -2, "script");
}

void set_command(lua_State* L, const protocol::RunningScript& script) {
  const char* const first = script.command.data;
  const char* const end = first + script.command.size;
  List command(L);
  for (const char* at = first; at < end; at += strlen(at) + 1) command.add(at);
  command.set("command");
  set_script(L, first_argument(script), end);
}

void push_script(lua_State* L, const protocol::LaunchStatus& launch, Asked& asked) {
  const protocol::RunningScript& script = asked.script;
  look_at(launch.pid, parent_of_scripts(asked.answer), asked.script);
  lua_newtable(L);
  set_number(L, "pid", static_cast<uint64_t>(launch.pid));
  set_number(L, "client_pid", static_cast<uint64_t>(launch.client));
  set_number(L, "uid", launch.uid);
  set_string(L, "user", protocol::name_of_user(launch.uid));
  set_number(L, "age_seconds", protocol::seconds_since(launch.started));
  if (!script.visible) return;
  if (script.has_memory) set_number(L, "private_bytes", script.private_bytes);
  if (script.has_memory) set_number(L, "shared_bytes", script.shared_bytes);
  set_command(L, script);
}

void set_scripts(lua_State* L, Asked& asked) {
  lua_newtable(L);
  int count = 0;
  for (uint32_t i = 0; i < asked.answer.counts.connections; i++) {
    if (asked.answer.launch[i].pid <= 0) continue;
    push_script(L, asked.answer.launch[i], asked);
    lua_rawseti(L, -2, ++count);
  }
  lua_setfield(L, -2, "scripts");
}

// What there is without an image too: zeroes, and empty lists.
void set_image(lua_State* L, const image::Inspection& image) {
  const bool has_image = image.has_image();
  set_number(L, "image_bytes", has_image ? image.tables.header().file_size : 0);
  set_number(L, "warm_heap_bytes", has_image ? uint64_t{image.tables.header().heap} * 1024 : 0);
  List modules(L);
  image.for_each_module(List::add_to, &modules);
  modules.set("modules");
  List files(L);
  image.for_each_path(List::add_to, &files);
  files.set("files");
}

void push_status(lua_State* L, Asked& asked, const char* socket) {
  const protocol::Answer& answer = asked.answer;
  const protocol::StatusCounts& counts = answer.counts;
  lua_newtable(L);
  set_string(L, "version", answer.head.moonletd);
  set_string(L, "lua", protocol::name_of_lua(answer.head.lua));
  set_string(L, "socket", socket);
  if (answer.pid != 0) set_number(L, "pid", static_cast<uint64_t>(answer.pid));
  if (counts.max != 0) set_number(L, "max", counts.max);
  set_number(L, "uptime_seconds", protocol::seconds_since(counts.started));
  if (answer.known.is_failing != 0) set_string(L, "error", answer.error);
  const protocol::NamedCounts named = protocol::name_counts(answer);
  for (const auto& it : named.each) set_number(L, it.name, it.value);
  set_image(L, asked.image);
  set_scripts(L, asked);
}

}  // namespace

int status(lua_State* L) {
  const protocol::SocketAddress address = check_socket(L);
  Asked& asked = push_asked(L);
  Problem problem;
  if (!ask(address, asked.answer, problem)) return fail(L, problem);
  if (asked.image.read(asked.answer.image)) asked.image.read_notes(asked.answer.image);
  push_status(L, asked, address.un.sun_path);
  return 1;
}

int reload(lua_State* L) {
  const protocol::SocketAddress address = check_socket(L);
  Asked& asked = push_asked(L);
  Problem problem;
  if (reload(address, asked.answer, problem) != protocol::Reload::kDone) return fail(L, problem);
  lua_pushboolean(L, 1);
  return 1;
}

}  // namespace moonlet::module_of_lua
