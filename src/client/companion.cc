#include "client/companion.h"

#include "client/fallback.h"
#include "client/refusal.h"
#include "protocol/protocol.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::client {

void become_companion(char** argv) {
  static constexpr char kName[] = "moonletctl";
  char path[PATH_MAX + sizeof kName];
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  while (length > 0 && path[length - 1] != '/') length--;
  if (length > 0) {
    memcpy(path + length, kName, sizeof kName);
    execv(path, argv);
  }
  print_refusal({"exec moonletctl", "(beside moonlet, or on PATH)", exec_on_path(kName, argv)});
  _exit(protocol::kOwnFailure);
}

}  // namespace moonlet::client
