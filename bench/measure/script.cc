#include "measure/script.h"

#include "measure/fail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::bench {

namespace {

bool is_file(const char* path) {
  struct stat status = {};
  return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

// The program that a "#!" line names; env(1) stands for the program behind it.
const char* interpreter_of(char* line) {
  constexpr char kBlank[] = " \t\r\n";
  char* rest = line + 2;
  rest[strcspn(rest, "\n")] = '\0';
  char* word = strtok_r(rest, kBlank, &rest);
  if (word == nullptr) return "";
  if (strcmp(base_name(word), "env") != 0) return base_name(word);
  while ((word = strtok_r(nullptr, kBlank, &rest)) != nullptr) {
    if (*word != '-' && strchr(word, '=') == nullptr) return base_name(word);
  }
  return "";
}

bool runs_lua(const char* interpreter) {
  return strncmp(interpreter, "lua", 3) == 0 || strncmp(interpreter, "moonlet", 7) == 0;
}

}  // namespace

bool find_program(const char* name, char (&path)[PATH_MAX]) {
  if (strchr(name, '/') != nullptr) return snprintf(path, sizeof path, "%s", name) < PATH_MAX && is_file(path);
  const char* list = getenv("PATH");
  if (list == nullptr) list = "/usr/local/bin:/bin:/usr/bin";
  for (;;) {
    const int length = static_cast<int>(strcspn(list, ":"));
    // An empty entry is the working directory.
    const int used =
        snprintf(path, sizeof path, "%.*s/%s", length != 0 ? length : 1, length != 0 ? list : ".", name);
    if (used < PATH_MAX && is_file(path) && access(path, X_OK) == 0) return true;
    list += length;
    if (*list++ == '\0') return false;
  }
}

bool find_script(const char* name, char (&path)[PATH_MAX]) {
  if (!is_file(name)) return strchr(name, '/') == nullptr && find_program(name, path);
  return snprintf(path, sizeof path, "%s", name) < PATH_MAX;
}

const char* demand_lua(const char* path) {
  FILE* const file = fopen(path, "re");
  if (file == nullptr) fail("open %s: %s", path, strerror(errno));
  static char head[512];
  const size_t length = fread(head, 1, sizeof head - 1, file);
  fclose(file);
  head[length] = '\0';
  if (memcmp(head, "\177ELF", 4) == 0)
    fail("%s is a compiled program, not a Lua script: moonlet cannot start it", path);
  if (strncmp(head, "#!", 2) != 0) return "";
  const char* interpreter = interpreter_of(head);
  if (!runs_lua(interpreter)) {
    fail(
        "%s is run by %s, not by lua.\n"
        "If it is a wrapper around a Lua script (luarocks makes such), name the script itself.",
        path, interpreter);
  }
  return interpreter;
}

}  // namespace moonlet::bench
