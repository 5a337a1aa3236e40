// moonletctl: how a moonletd is, and what can be done about it. moonlet becomes it for --status, --top and
// --reload.

#include "ctl/answer.h"
#include "ctl/autostart.h"
#include "ctl/fail.h"
#include "ctl/json.h"
#include "ctl/options.h"
#include "ctl/reload.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/top.h"
#include "protocol/autostart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

int print_status(const protocol::SocketAddress& address, bool as_json) {
  Answer answer;
  Text problem;
  if (!ask(address, answer, problem)) fail("%s", problem.bytes());
  Text out;
  if (as_json) {
    add_json(out, answer, address.un.sun_path);
  } else {
    add_table(out, answer, address.un.sun_path, colours(), size_of_terminal().columns, false);
  }
  if (!out.write_to(STDOUT_FILENO)) fail("write: %s", strerror(errno));
  return EXIT_SUCCESS;
}

}  // namespace

}  // namespace moonlet::ctl

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::ctl;
  if (argc < 1) return EXIT_FAILURE;  // Linux 5.18 and later see to it that there is a name
  const Options options = read_options(argv);
  const protocol::SocketAddress address = protocol::socket_to_ask(options.socket).address;
  switch (options.task) {
    case Task::kAutostart:
      autostart();
    case Task::kTop:
      return watch(address);
    case Task::kReload:
      return reload(address);
    default:
      return print_status(address, options.task == Task::kStatusAsJson);
  }
}
