#include "module/restart.h"

#include "lua/lua_api.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::module_of_lua {

namespace {

int give_up(lua_State* L, const char* doing, const char* why) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", doing, why);
  return 2;
}

// An editor or a server with Lua in it has other arguments, and other things to do.
bool is_stand_alone_lua() {
  char program[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return false;
  program[length] = '\0';
  const char* name = strrchr(program, '/');
  return name != nullptr && strncmp(name + 1, "lua", 3) == 0;
}

// Reads the strings of this process' command line into a userdata, which it pushes. Their size, or -1.
ssize_t read_command_line(lua_State* L, char*& strings) {
  const int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  size_t room = 4096;
  size_t size = 0;
  ssize_t got = 0;
  strings = static_cast<char*>(lua_newuserdata(L, room));
  while ((got = read(file, strings + size, room - size)) > 0) {
    size += static_cast<size_t>(got);
    if (size < room) continue;
    // The old one is garbage. Should memory be short, a descriptor is lost that an exec closes.
    char* const larger = static_cast<char*>(lua_newuserdata(L, 2 * room));
    memcpy(larger, strings, size);
    strings = larger;
    room *= 2;
    lua_replace(L, -2);
  }
  if (file >= 0) close(file);
  return got == 0 && file >= 0 ? static_cast<ssize_t>(size) : -1;
}

}  // namespace

int restart_in_moonletd(lua_State* L) {
  if (!is_stand_alone_lua()) return give_up(L, "serve", "neither in moonletd nor in lua");
  char* strings = nullptr;
  const ssize_t size = read_command_line(L, strings);
  if (size <= 0) return give_up(L, "/proc/self/cmdline", strerror(errno));
  size_t count = 0;
  for (ssize_t i = 0; i < size; i++) count += strings[i] == '\0';
  auto** const argv = static_cast<char**>(lua_newuserdata(L, (count + 1) * sizeof(char*)));
  char* at = strings;
  for (size_t i = 0; i < count; i++, at += strlen(at) + 1) argv[i] = at;
  argv[count] = nullptr;
  char name[] = "moonletd";
  argv[0] = name;
  fflush(nullptr);
  execvp(name, argv);
  return give_up(L, "exec moonletd", strerror(errno));
}

}  // namespace moonlet::module_of_lua
