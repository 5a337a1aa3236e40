#include "client/first_line.h"

#include "fallback/refusal.h"
#include "image/answer.h"
#include "image/owner.h"
#include "protocol/protocol.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

// The script that lua would run, or null.
const char* script_of(char** argv) {
  char** arg = argv + 1;
  for (; *arg != nullptr && (*arg)[0] == '-'; arg++) {
    const char* const option = *arg + 1;
    if (*option == '\0') return nullptr;
    if (strcmp(option, "-") == 0) return arg[1];
    const bool takes_next = (*option == 'e' || *option == 'l') && option[1] == '\0';
    if (takes_next && *++arg == nullptr) return nullptr;
  }
  return *arg;
}

char* end_of_word(char* text) {
  while (*text != '\0' && *text != ' ' && *text != '\t' && *text != '\n') text++;
  return text;
}

// Ends a word of the line, and returns the next one, or "".
char* next_word(char* word) {
  char* end = end_of_word(word);
  if (*end == '\0' || *end == '\n') {
    *end = '\0';
    return end;
  }
  *end++ = '\0';
  while (*end == ' ' || *end == '\t') end++;
  return end;
}

const char* base_name(const char* path) {
  const char* name = path;
  for (; *path != '\0'; path++) {
    if (*path == '/') name = path + 1;
  }
  return name;
}

// MOONLET_LUA_CODE of the Lua that a program of this name is, or 0: "lua5.4", "lua54", "lua-5.4", "luajit-2.1".
int lua_called(const char* name) {
  if (strncmp(name, "luajit", 6) == 0) return protocol::kLuaJit;
  if (strncmp(name, "lua", 3) != 0) return 0;
  name += name[3] == '-' ? 4 : 3;
  if (*name++ != '5') return 0;
  if (*name == '.') name++;
  return *name >= '1' && *name <= '9' ? 500 + (*name - '0') : 0;
}

// Where the links of `path` lead: /usr/bin/lua is another Lua's on each machine. False if it is not there.
bool follow(const char* path, char (&target)[PATH_MAX]) {
  const int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return false;
  const bool is_found = image::find_path(fd, target, sizeof target);
  close(fd);
  return is_found;
}

int lua_at(const char* path) {
  char target[PATH_MAX];
  return follow(path, target) ? lua_called(base_name(target)) : 0;
}

// As env(1) finds it.
int lua_on_path(const char* name) {
  const char* at = getenv("PATH");
  while (at != nullptr && *at != '\0') {
    char path[PATH_MAX];
    char target[PATH_MAX];
    size_t length = 0;
    for (; *at != '\0' && *at != ':'; at++) {
      if (length < sizeof path / 2) path[length++] = *at;
    }
    if (*at == ':') at++;
    path[length++] = '/';
    for (const char* from = name; *from != '\0' && length < sizeof path - 1; from++) path[length++] = *from;
    path[length] = '\0';
    if (follow(path, target)) return lua_called(base_name(target));
  }
  return 0;
}

// MOONLET_LUA_CODE of the Lua that the line asks for, or 0: any.
int wanted_by(char* line) {
  char* program = line + 2;
  while (*program == ' ' || *program == '\t') program++;
  char* second = next_word(program);
  const bool is_env = strcmp(base_name(program), "env") == 0;
  if (is_env && strncmp(second, "-S", 2) == 0 && end_of_word(second) == second + 2) second = next_word(second);
  if (is_env) {
    next_word(second);
    program = second;
  }
  const int by_name = lua_called(base_name(program));
  if (by_name != 0 || strcmp(base_name(program), "lua") != 0) return by_name;
  return *program == '/' ? lua_at(program) : lua_on_path(program);
}

}  // namespace

void tell_of_first_line(char** argv) {
  const char* const script = fallback::is_verbose() ? script_of(argv) : nullptr;
  image::FileStatus status;
  // Who opens a pipe has taken what is in it from lua.
  const bool is_file = script != nullptr && image::look(AT_FDCWD, script, image::Follow::kYes, &status) == 0 &&
                       (status.mode & S_IFMT) == S_IFREG;
  const int fd = is_file ? open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
  if (fd < 0) return;
  char line[256];
  const ssize_t got = pread(fd, line, sizeof line - 1, 0);
  close(fd);
  line[got > 0 ? got : 0] = '\0';
  if (strncmp(line, "#!", 2) != 0) return;
  const int wanted = wanted_by(line);
  if (wanted == 0 || wanted == MOONLET_LUA_CODE) return;
  fallback::print_refusal({"run", script, 0, "its first line asks for another Lua than " MOONLET_LUA_NAME});
}

}  // namespace moonlet::client
