#include "measure/rehearsal.h"

#include "measure/capture.h"
#include "measure/fail.h"
#include "measure/modules.h"
#include "measure/notes.h"
#include "measure/progress.h"
#include "measure/warm_source.h"
#include "protocol/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

namespace moonlet::bench {

namespace {

bool exited_with(int status, int code) { return WIFEXITED(status) && WEXITSTATUS(status) == code; }

const char* describe(int status, char (&text)[64]) {
  if (WIFEXITED(status)) {
    snprintf(text, sizeof text, "exits with %d", WEXITSTATUS(status));
  } else {
    snprintf(text, sizeof text, "is killed by signal %d", WTERMSIG(status));
  }
  return text;
}

// An error that nobody catches is lua's own exit: status 1, and its name in front of the message.
void demand_success(const Command& lua, const Capture& run, const char* what) {
  char line[512];
  if (exited_with(run.status, 1) && strncmp(first_line(run.error, line, sizeof line), "lua: ", 5) == 0)
    fail("%s fails under %s: %s", what, lua.program, line + 5);
}

// Whether moonlet itself says that it cannot start the script, and in `line` why not.
bool is_not_started(const Capture& run, char (&line)[512]) {
  return exited_with(run.status, protocol::kOwnFailure) &&
         strncmp(first_line(run.error, line, sizeof line), "moonlet: ", 9) == 0;
}

[[noreturn]] void fail_to_start(const Command& lua, const Command& moonlet, const char* why,
                                const char* moonletd) {
  static char options[8192];
  find_modules(lua, options, sizeof options);
  const char* const blank = *options != '\0' ? " " : "";
  switch (warm_source()) {
    case WarmSource::kImage:
      fail(
          "moonlet cannot start the script: %s\n"
          "An image that has warm what the script loads is made so:\n"
          "    %s --freeze %s %s",
          why, moonlet.program, getenv("MOONLET_IMAGE"), options);
    case WarmSource::kWarmUp:
      fail(
          "moonlet cannot start the script: %s\n"
          "%s --images says what there is of MOONLET_WARM, and why a freeze has failed. What the script "
          "loads:\n"
          "    export MOONLET_WARM='%s'",
          why, moonlet.program, options);
#if defined(MOONLET_WARM)
    case WarmSource::kNone:
      fail(
          "moonlet cannot start the script: %s\n"
          "This has launches make an image that has warm what the script loads:\n"
          "    export MOONLET_WARM='%s'",
          why, *options != '\0' ? options : "-e 0");
#endif
    default:
      fail(
          "moonlet cannot start the script: %s\n"
          "A moonletd that has warm what the script loads is started so (one that runs at that socket must "
          "stop "
          "first):\n"
          "    %s %s%s&",
          why, moonletd, options, blank);
  }
}

void compare_output(const Command& lua, const Capture& from_lua, const Capture& from_moonlet) {
  const bool same_out = same_contents(from_lua.out, from_moonlet.out);
  if (same_out && same_contents(from_lua.error, from_moonlet.error)) return;
  const Capture again = capture(lua);
  const bool varies = !same_contents(from_lua.out, again.out) || !same_contents(from_lua.error, again.error);
  close(again);
  note("under moonlet, standard %s differs from that under lua%s", same_out ? "error" : "output",
       varies ? "; but so it does between two runs of lua"
              : ".\n      A module that looks at its arguments or its caller while it loads must not be warm");
}

}  // namespace

int rehearse(const Command& lua, const Command& moonlet, const char* what, const char* moonletd) {
  show_progress("running it once under lua ...");
  const Capture from_lua = capture(lua);
  demand_success(lua, from_lua, what);
  show_progress("running it once under moonlet ...");
  Capture from_moonlet = capture(moonlet);
  char line[512];
  if (is_not_started(from_moonlet, line) && warm_source() == WarmSource::kWarmUp && wait_for_warm_up()) {
    close(from_moonlet);
    from_moonlet = capture(moonlet);
  }
  if (is_not_started(from_moonlet, line)) fail_to_start(lua, moonlet, line + 9, moonletd);
  const int status = from_lua.status;
  char first[64];
  char second[64];
  if (from_moonlet.status != status) {
    fail("%s %s under lua, but %s under moonlet: there is nothing to compare", what, describe(status, first),
         describe(from_moonlet.status, second));
  }
  compare_output(lua, from_lua, from_moonlet);
  if (status != 0) note("it %s, under both", describe(status, first));
  close(from_lua);
  close(from_moonlet);
  return status;
}

}  // namespace moonlet::bench
