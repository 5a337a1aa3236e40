// moonletctl: how a moonletd is, and what can be done about it. moonlet becomes it for --status, --top and
// --reload, and has it start a moonletd where MOONLET_AUTOSTART asks for one.

#include "ctl/answer.h"
#include "ctl/autostart.h"
#include "ctl/fail.h"
#include "ctl/json.h"
#include "ctl/options.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/top.h"
#include "protocol/autostart.h"
#include "protocol/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

// Of a moonletd that was started in the background nobody has seen what it said.
[[noreturn]] void fail_to_ask(const protocol::Problem& problem, const protocol::SocketToAsk& asked) {
  protocol::SocketAddress log = asked.address;
  if (asked.is_private && log.fits) {
    name_log(log.un.sun_path);
    if (access(log.un.sun_path, F_OK) == 0) fail("%s; see %s", printable(problem).bytes(), log.un.sun_path);
  }
  const bool has_no_place = protocol::setting(protocol::kAutostart) != nullptr && !asked.is_private &&
                            strcmp(asked.address.un.sun_path, "/run/moonlet.sock") == 0;
  fail("%s%s", printable(problem).bytes(),
       has_no_place ? "; without XDG_RUNTIME_DIR, MOONLET_AUTOSTART has no effect" : "");
}

int print_status(const protocol::SocketToAsk& asked, bool as_json) {
  const protocol::SocketAddress& address = asked.address;
  Answer answer;
  protocol::Problem problem;
  if (!ask(address, answer, problem)) fail_to_ask(problem, asked);
  Text out;
  if (as_json) {
    add_json(out, answer, address.un.sun_path);
  } else {
    add_table(out, answer, address.un.sun_path, colours(), size_of_terminal().columns, false);
  }
  if (!out.write_to(STDOUT_FILENO)) fail("write: %s", strerror(errno));
  return EXIT_SUCCESS;
}

int reload(const protocol::SocketAddress& address) {
  Answer answer;
  protocol::Problem problem;
  const protocol::Reload outcome = reload(address, answer, problem);
  if (outcome == protocol::Reload::kNotAsked) fail("%s", printable(problem).bytes());
  if (outcome == protocol::Reload::kNotDone) {
    fprintf(stderr, "moonletctl: %s\n", printable(problem).bytes());
    return EXIT_FAILURE;
  }
  printf("moonletd %d has reloaded: %u module%s, %u KB\n", answer.pid, answer.modules.count,
         answer.modules.count == 1 ? "" : "s", answer.image.kilobytes);
  return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

}  // namespace moonlet::ctl

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::ctl;
  if (argc < 1) return EXIT_FAILURE;  // Linux 5.18 and later see to it that there is a name
  const Options options = read_options(argv);
  const protocol::SocketToAsk asked = protocol::socket_to_ask(options.socket);
  switch (options.task) {
    case Task::kAutostart:
      autostart();
    case Task::kTop:
      return watch(asked.address);
    case Task::kReload:
      return ctl::reload(asked.address);
    default:
      return print_status(asked, options.task == Task::kStatusAsJson);
  }
}
