#include "measure/rehearsal.h"

#include "measure/capture.h"
#include "measure/fail.h"
#include "measure/modules.h"
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
void demand_success(const Command& lua, const Capture& run) {
  char line[512];
  if (exited_with(run.status, 1) && strncmp(first_line(run.error, line, sizeof line), "lua: ", 5) == 0)
    fail("%s fails under %s: %s", lua.argv[1], lua.program, line + 5);
}

void demand_launch(const Command& lua, const Command& moonlet, const Capture& run, const char* image,
                   const char* moonletd) {
  char line[512];
  if (!exited_with(run.status, protocol::kOwnFailure) ||
      strncmp(first_line(run.error, line, sizeof line), "moonlet: ", 9) != 0)
    return;
  static char options[8192];
  if (image != nullptr) {
    find_modules(lua, options, sizeof options);
    fail(
        "moonlet cannot start the script: %s\n"
        "An image that has warm what the script loads is made so:\n"
        "    %s --freeze %s %s",
        line + 9, moonlet.program, image, options);
  }
  find_modules(lua, options, sizeof options);
  fail(
      "moonlet cannot start the script: %s\n"
      "A moonletd that has warm what the script loads is started so (one that runs at that socket must stop "
      "first):\n"
      "    %s %s%s&",
      line + 9, moonletd, options, *options != '\0' ? " " : "");
}

void compare_output(const Command& lua, const Capture& from_lua, const Capture& from_moonlet) {
  const bool same_out = same_contents(from_lua.out, from_moonlet.out);
  if (same_out && same_contents(from_lua.error, from_moonlet.error)) return;
  const Capture again = capture(lua);
  const bool varies = !same_contents(from_lua.out, again.out) || !same_contents(from_lua.error, again.error);
  close(again);
  printf("note: under moonlet, standard %s differs from that under lua%s\n", same_out ? "error" : "output",
         varies
             ? "; but so it does between two runs of lua"
             : ".\n      A module that looks at its arguments or its caller while it loads must not be warm");
}

}  // namespace

int rehearse(const Command& lua, const Command& moonlet, const char* image, const char* moonletd) {
  const Capture from_lua = capture(lua);
  demand_success(lua, from_lua);
  const Capture from_moonlet = capture(moonlet);
  demand_launch(lua, moonlet, from_moonlet, image, moonletd);
  const int status = from_lua.status;
  char first[64];
  char second[64];
  if (from_moonlet.status != status) {
    fail("%s %s under lua, but %s under moonlet: there is nothing to compare", lua.argv[1],
         describe(status, first), describe(from_moonlet.status, second));
  }
  compare_output(lua, from_lua, from_moonlet);
  if (status != 0) printf("note: it %s, under both\n", describe(status, first));
  close(from_lua);
  close(from_moonlet);
  return status;
}

}  // namespace moonlet::bench
