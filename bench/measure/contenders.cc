#include "measure/contenders.h"

#include "measure/fail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::bench {

namespace {

// The fields of a line, which is cut up in place. The list ends with a null, as argv does.
char** split(char* line) {
  size_t fields = 1;
  for (const char* at = line; (at = strchr(at, '\t')) != nullptr; at++) fields++;
  char** const list = static_cast<char**>(calloc(fields + 1, sizeof *list));
  if (list == nullptr) fail("out of memory");
  size_t count = 0;
  for (char* field = strsep(&line, "\t"); field != nullptr; field = strsep(&line, "\t")) list[count++] = field;
  return list;
}

// This program's environment with `count` variables more, or changed.
char** with_variables(char** added, size_t count) {
  size_t own = 0;
  while (environ[own] != nullptr) own++;
  char** const list = static_cast<char**>(calloc(own + count + 1, sizeof *list));
  if (list == nullptr) fail("out of memory");
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) list[kept++] = added[i];
  for (char** variable = environ; *variable != nullptr; variable++) {
    const size_t name = strcspn(*variable, "=") + 1;
    bool changed = false;
    for (size_t i = 0; i < count; i++) changed = changed || strncmp(*variable, added[i], name) == 0;
    if (!changed) list[kept++] = *variable;
  }
  return list;
}

Contender parse(char* line, const char* path) {
  char** field = split(line);
  Contender contender;
  contender.name = *field++;
  char** const variables = field;
  while (*field != nullptr && strchr(*field, '=') != nullptr) field++;
  if (*field == nullptr) fail("%s: contender '%s' has no program", path, contender.name);
  contender.command.program = *field;
  contender.command.argv = field;
  contender.command.environment = with_variables(variables, static_cast<size_t>(field - variables));
  return contender;
}

}  // namespace

const Contenders& read_contenders(const char* path) {
  static Contenders contenders;
  FILE* const file = fopen(path, "re");
  if (file == nullptr) fail("open %s: %s", path, strerror(errno));
  for (;;) {
    char* line = nullptr;
    size_t size = 0;
    const ssize_t length = getline(&line, &size, file);
    if (length <= 0) {
      free(line);
      break;
    }
    if (line[length - 1] == '\n') line[length - 1] = '\0';
    if (contenders.count == Contenders::kMost) fail("%s: more than %d contenders", path, Contenders::kMost);
    contenders.at[contenders.count++] = parse(line, path);  // keeps the line
  }
  fclose(file);
  if (contenders.count == 0) fail("%s: no contenders", path);
  return contenders;
}

}  // namespace moonlet::bench
