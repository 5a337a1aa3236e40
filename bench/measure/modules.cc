#include "measure/modules.h"

#include "measure/capture.h"
#include "measure/fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::bench {

namespace {

constexpr char kVariable[] = "MOONLET_BENCH_MODULES";

// Runs in front of the script. Writes the list anew whenever it changes: no hook sees every end of a script.
char watch_require[] = R"(
local path, open, concat = os.getenv("MOONLET_BENCH_MODULES"), io.open, table.concat
local loaded, really_require = package.loaded, require
local list = {}
local function returned(name, before, ...)
  for i = #list, before + 1, -1 do list[i] = nil end
  list[before + 1] = name
  local file = open(path, "w")
  if file then
    file:write("-l ", concat(list, " -l "), "\n")
    file:close()
  end
  return ...
end
function require(name)
  if loaded[name] then return really_require(name) end
  return returned(name, #list, really_require(name))
end
)";

}  // namespace

void find_modules(const Command& command, char* options, size_t size) {
  *options = '\0';
  FILE* const list = tmpfile();
  if (list == nullptr) return;  // a hint is not worth an end
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), fileno(list));
  size_t count = 0;
  while (command.argv[count] != nullptr) count++;
  char** const argv = static_cast<char**>(calloc(count + 3, sizeof *argv));
  if (argv == nullptr) fail("out of memory");
  static char execute[] = "-e";
  argv[0] = command.argv[0];
  argv[1] = execute;
  argv[2] = watch_require;
  memcpy(argv + 3, command.argv + 1, (count - 1) * sizeof *argv);
  setenv(kVariable, path, 1);
  launch({command.program, argv, environ}, {null_device(), null_device(), null_device()});
  unsetenv(kVariable);
  first_line(list, options, static_cast<int>(size));
  fclose(list);
  free(argv);
}

}  // namespace moonlet::bench
