#include "measure/compare.h"

#include "measure/duel.h"
#include "measure/fail.h"
#include "measure/modules.h"
#include "measure/notes.h"
#include "measure/progress.h"
#include "measure/rehearsal.h"
#include "measure/result.h"
#include "measure/script.h"
#include "measure/warm_source.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::bench {

namespace {

void find_lua(const char* named, char (&path)[PATH_MAX]) {
  if (!find_program(named != nullptr ? named : MOONLET_FALLBACK_NAME, path))
    fail("there is no %s (see moonlet-bench --help)", named != nullptr ? named : MOONLET_FALLBACK_NAME);
}

void find_moonlet(const char* named, char (&path)[PATH_MAX]) {
  if (named == nullptr) {
    // Beside this program, where both were built or installed.
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof "moonlet");
    if (length > 0) {
      path[length] = '\0';
      strcpy(strrchr(path, '/') + 1, "moonlet");  // NOLINT(clang-analyzer-security.insecureAPI.strcpy): it fits
      if (access(path, X_OK) == 0) return;
    }
    named = "moonlet";
  }
  if (!find_program(named, path)) fail("there is no %s (see moonlet-bench --help)", named);
}

// What both programs are started with: lua's options, the script and its arguments. The name in front is the
// same for both: it is in what a script prints.
char** arguments_of(const Options& options, char* script) {
  static char name[] = "lua";
  size_t before = 0;
  while (options.lua_options[before] != nullptr) before++;
  size_t behind = 0;
  while (script != nullptr && options.script[behind] != nullptr) behind++;
  char** const argv = static_cast<char**>(calloc(before + behind + 2, sizeof *argv));
  if (argv == nullptr) fail("out of memory");
  argv[0] = name;
  memcpy(argv + 1, options.lua_options, before * sizeof *argv);
  if (behind > 0) {
    argv[before + 1] = script;
    memcpy(argv + before + 2, options.script + 1, (behind - 1) * sizeof *argv);
  }
  return argv;
}

void note_another_lua(const char* asked, const char* lua) {
  const char* const slash = strrchr(lua, '/');
  const char* const name = slash != nullptr ? slash + 1 : lua;
  if (strncmp(asked, "lua", 3) == 0 && strcmp(asked, "lua") != 0 && strcmp(asked, name) != 0)
    note("its first line asks for %s; this is %s", asked, name);
}

// As bench/run has it: beyond that, somebody else uses the machine too.
void note_load(double load) {
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  if (load > static_cast<double>(processors) / 4)
    note("the machine is busy (load %.1f, processors: %ld): on a quiet one the figures are others", load,
         processors);
}

void print_cold(const char* modules) {
  const WarmSource source = warm_source();
  if (source == WarmSource::kWarmUp) {
    printf("It loads modules that are not warm. Add these to MOONLET_WARM:\n    %s\n", modules);
    return;
  }
  const bool in_image = source == WarmSource::kImage;
  printf(
      "It loads modules that are not warm in its %s. Add these to the options that you %s that with:\n    %s\n",
      in_image ? "image" : "moonletd", in_image ? "freeze" : "start", modules);
}

}  // namespace

void compare(const Options& options) {
  static char lua_path[PATH_MAX];
  static char moonlet_path[PATH_MAX];
  static char moonletd_path[PATH_MAX + 1];
  static char script[PATH_MAX];
  find_lua(options.lua, lua_path);
  find_moonlet(options.moonlet, moonlet_path);
  snprintf(moonletd_path, sizeof moonletd_path, "%sd", moonlet_path);
  const char* const moonletd = access(moonletd_path, X_OK) == 0 ? moonletd_path : "moonletd";
  const bool has_script = options.script != nullptr;
  if (has_script) {
    if (!find_script(*options.script, script))
      fail("there is no script %s (see moonlet-bench --help)", *options.script);
    note_another_lua(demand_lua(script), lua_path);
  }
  double load = 0;
  if (getloadavg(&load, 1) == 1) note_load(load);

  setenv("MOONLET_FALLBACK", "", 1);  // what is measured shall be moonlet; for both, so that both have it
  if (options.image != nullptr) setenv("MOONLET_IMAGE", options.image, 1);
  char** const argv = arguments_of(options, has_script ? script : nullptr);
  Duel duel;
  duel.lua.command = {lua_path, argv, environ};
  duel.moonlet.command = {moonlet_path, argv, environ};

  const char* const what = has_script ? script : "the statement";
  const int status = rehearse(duel.lua.command, duel.moonlet.command, what, moonletd);
  run(duel, {options.warm_up, options.runs}, status);
  if (options.json != nullptr) export_json(duel, options.json);
  static char cold[8192];
  find_modules(duel.moonlet.command, cold, sizeof cold);
  end_progress();
  print_result(duel, what);
  print_notes();
  if (*cold != '\0') print_cold(cold);
  free(argv);
}

}  // namespace moonlet::bench
