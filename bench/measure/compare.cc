#include "measure/compare.h"

#include "measure/fail.h"
#include "measure/launch.h"
#include "measure/modules.h"
#include "measure/rehearsal.h"
#include "measure/script.h"
#include "measure/statistics.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::bench {

namespace {

// Together with the runs before and after, and with slow scripts left aside, about ten seconds.
constexpr double kPatienceUs = 8e6;
constexpr int kFewestRounds = 3;
constexpr int kMostRounds = 1000;

// A ratio this close to 1 is nobody's reason to change anything.
constexpr double kNoticeable = 0.05;

struct Times {
  double* lua;  // in ms, by round
  double* moonlet;
  double* gain;  // of the launch under moonlet over that under lua in the same round
  int count = 0;
};

void find_lua(const char* named, char (&path)[PATH_MAX]) {
  if (!find_program(named != nullptr ? named : MOONLET_FALLBACK_NAME, path))
    fail("there is no %s", named != nullptr ? named : MOONLET_FALLBACK_NAME);
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
  if (!find_program(named, path)) fail("there is no %s", named);
}

Times measure(const Command& lua, const Command& moonlet, int runs, int status) {
  const int most = runs > 0 ? runs : kMostRounds;
  const size_t size = static_cast<size_t>(most);
  Times times = {static_cast<double*>(calloc(size, sizeof(double))),
                 static_cast<double*>(calloc(size, sizeof(double))),
                 static_cast<double*>(calloc(size, sizeof(double)))};
  if (times.lua == nullptr || times.moonlet == nullptr || times.gain == nullptr) fail("out of memory");
  const Streams nowhere = {null_device(), null_device(), null_device()};
  const double before = now_us();
  for (int& i = times.count; i < most; i++) {
    if (runs == 0 && i >= kFewestRounds && now_us() - before > kPatienceUs) break;
    // Now one first, now the other: neither always runs in the other's wake.
    for (int turn = 0; turn < 2; turn++) {
      const bool is_lua = (i + turn) % 2 == 0;
      const Sample sample = launch(is_lua ? lua : moonlet, nowhere);
      if (sample.status != status)
        fail("%s ended in another way than before, under %s", lua.argv[1], is_lua ? "lua" : "moonlet");
      (is_lua ? times.lua : times.moonlet)[i] = sample.wall_us / 1e3;
    }
    times.gain[i] = times.lua[i] - times.moonlet[i];
  }
  sort(times.lua, times.count);
  sort(times.moonlet, times.count);
  sort(times.gain, times.count);
  return times;
}

void print_line(const char* name, const double* sorted, int count) {
  printf("%-8s %10.2f %10.2f %10.2f\n", name, quantile(sorted, count, 0.5), quantile(sorted, count, 0.1),
         quantile(sorted, count, 0.9));
}

void print_verdict(const Times& times) {
  if (times.count < kFewestRounds) {
    printf("%d launches of each are too few to tell.\n", times.count);
    return;
  }
  const double lua = quantile(times.lua, times.count, 0.5);
  const double moonlet = quantile(times.moonlet, times.count, 0.5);
  const double ratio = moonlet / lua;
  const Interval gain = median_interval(times.gain, times.count);
  if (ratio < 1 - kNoticeable && gain.low > 0) {
    printf("moonlet is %.1f times as fast: it saves %.2f ms of %.2f ms per launch.\n", lua / moonlet,
           lua - moonlet, lua);
  } else if (ratio > 1 + kNoticeable && gain.high < 0) {
    printf("moonlet loses here: %.2f ms more than lua's %.2f ms per launch (ratio %.2f).\n", moonlet - lua, lua,
           ratio);
  } else {
    printf("moonlet gains nothing here: %.2f ms instead of %.2f ms per launch (ratio %.2f)%s.\n", moonlet, lua,
           ratio, gain.low <= 0 && gain.high >= 0 ? ", a difference within what both vary" : "");
  }
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
  if (!find_script(*options.script, script)) fail("there is no script %s", *options.script);
  const char* const asked = demand_lua(script);
  const char* const slash = strrchr(lua_path, '/');
  const char* const lua_name = slash != nullptr ? slash + 1 : lua_path;
  if (strncmp(asked, "lua", 3) == 0 && strcmp(asked, "lua") != 0 && strcmp(asked, lua_name) != 0)
    printf("note: its first line asks for %s; this is %s\n", asked, lua_name);

  setenv("MOONLET_FALLBACK", "", 1);  // what is measured shall be moonlet; for both, so that both have it
  if (options.image != nullptr) setenv("MOONLET_IMAGE", options.image, 1);
  static char name[] = "lua";
  size_t count = 0;
  while (options.script[count] != nullptr) count++;
  char** const argv = static_cast<char**>(calloc(count + 2, sizeof *argv));
  if (argv == nullptr) fail("out of memory");
  argv[0] = name;  // the same for both: it is in what a script prints
  argv[1] = script;
  memcpy(argv + 2, options.script + 1, (count - 1) * sizeof *argv);
  const Command lua = {lua_path, argv, environ};
  const Command moonlet = {moonlet_path, argv, environ};

  const int status = rehearse(lua, moonlet, options.image, moonletd);
  const Times times = measure(lua, moonlet, options.runs, status);
  printf("%s: %d launches of each, by turns\n\n", script, times.count);
  printf("%-8s %10s %10s %10s\n", "in ms", "median", "p10", "p90");
  print_line("lua", times.lua, times.count);
  print_line("moonlet", times.moonlet, times.count);
  putchar('\n');
  print_verdict(times);
  free(times.lua);
  free(times.moonlet);
  free(times.gain);
  static char cold[8192];
  find_modules(moonlet, cold, sizeof cold);
  if (*cold != '\0') {
    printf(
        "It loads modules that are not warm in its %s. Add these to the options that you %s that with:\n"
        "    %s\n",
        options.image != nullptr ? "image" : "moonletd", options.image != nullptr ? "freeze" : "start", cold);
  }
  free(argv);
}

}  // namespace moonlet::bench
