// moonletctl: runs a script through moonletd; tells how a moonletd is, and what can be done about it. moonlet
// becomes it for --status, --top and --reload.

#include "ctl/answer.h"
#include "ctl/fail.h"
#include "ctl/images.h"
#include "ctl/json.h"
#include "ctl/options.h"
#include "ctl/run.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/top.h"
#include "ctl/warm_up.h"
#include "ctl/wrap.h"
#include "protocol/reload.h"
#include "protocol/socket_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

int print_status(const protocol::SocketAddress& address, bool as_json) {
  Answer answer;
  protocol::Problem problem;
  if (!ask(address, answer, problem)) fail("%s", printable(problem).bytes());
  Text out;
  if (as_json) {
    add_json(out, answer, address.un.sun_path);
  } else {
    add_table(out, answer, address.un.sun_path, {colours(), size_of_terminal().columns});
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
  const Inspection image(answer);
  const uint32_t modules = image.has_image() ? image.tables.header().modules : 0;
  printf("moonletd %d has reloaded: %u module%s, %u KB\n", answer.pid, modules, modules == 1 ? "" : "s",
         image.has_image() ? image.tables.header().heap : 0);
  return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

}  // namespace moonlet::ctl

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::ctl;
  if (argc < 1) return EXIT_FAILURE;  // Linux 5.18 and later see to it that there is a name
  if (argc > 1 && strcmp(argv[1], "run") == 0) run(argc - 1, argv + 1);
#if defined(MOONLET_WARM)
  if (argc == 3 && strcmp(argv[1], "--freeze-warm-up") == 0) freeze_in_background(argv[2]);
  if (argc > 2 && strcmp(argv[1], "--images") == 0) return print_images_at(argv + 2);
  if (argc > 1 && strcmp(argv[1], "--wrap") == 0) return wrap(argv + 2);
#endif
  const Options options = read_options(argv);
  const protocol::SocketAddress address = protocol::socket_address(options.socket);
  switch (options.task) {
#if defined(MOONLET_WARM)
    case Task::kImages:
      return print_images();
    case Task::kForget:
      return forget_images();
#endif
    case Task::kTop:
      return watch(address);
    case Task::kReload:
      return ctl::reload(address);
    default:
      return print_status(address, options.task == Task::kStatusAsJson);
  }
}
