#include "ctl/run.h"

#include "ctl/fail.h"
#include "ctl/launch.h"
#include "fallback/fallback.h"
#include "fallback/real_lua.h"
#include "protocol/socket_path.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

namespace moonlet::ctl {

namespace {

using fallback::Refusal;

// Where the value of the option `name` is, which is the first of `argv`, alone or with "=" and the value: moves
// `argv` to the last argument that belongs to it. Null if that is another option.
const char* take_value(char**& argv, const char* name) {
  const size_t length = strlen(name);
  if (strncmp(*argv, name, length) != 0) return nullptr;
  if ((*argv)[length] == '=') return *argv + length + 1;
  if ((*argv)[length] != '\0') return nullptr;
  if (argv[1] == nullptr) fail("%s: a value must follow", name);
  return *++argv;
}

}  // namespace

void run(int argc, char** argv) {
  static char own_name[] = MOONLET_FALLBACK_NAME;
  const char* name = own_name;
  const char* socket = nullptr;
  char** const end = argv + argc;
  // lua has no long options, so that ours, in front, never hide one of its own.
  while (argv[1] != nullptr) {
    char** next = argv + 1;
    const char* value = nullptr;
    if ((value = take_value(next, "--socket")) != nullptr) {
      socket = value;
    } else if ((value = take_value(next, "--argv0")) != nullptr) {
      name = value;
    } else {
      break;
    }
    argv = next;
  }
  *argv = const_cast<char*>(name);
  // Whoever has started a program with the privileges of another: none of their variables is read.
  if (getauxval(AT_SECURE) != 0) fallback::fall_back(argv, {"start", "with raised privileges", EPERM});
  if (fallback::needs_real_lua(argv))
    fallback::fall_back(argv, {"run", "interactively", 0, "only lua itself can"});
  const protocol::SocketAddress address = protocol::socket_address(socket);
  Refusal refusal = {};
  launch(static_cast<int>(end - argv), argv, address, refusal);
  fallback::fall_back(argv, refusal);
}

}  // namespace moonlet::ctl
