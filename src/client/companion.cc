#include "client/companion.h"

#include "fallback/fallback.h"
#include "fallback/refusal.h"
#include "image/start.h"
#include "protocol/protocol.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

constexpr size_t kLongestName = 16;  // bytes

// The program `name` beside this one, whether it is there or not. False without /proc.
bool find_beside(const char* name, char (&path)[PATH_MAX + kLongestName]) {
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  while (length > 0 && path[length - 1] != '/') length--;
  if (length <= 0) return false;
  memcpy(path + length, name, strlen(name) + 1);
  return true;
}

}  // namespace

int execute_companion(char** argv) {
  static constexpr char kName[] = "moonletctl";
  char path[PATH_MAX + kLongestName];
  if (find_beside(kName, path)) execv(path, argv);
  return fallback::exec_on_path(kName, argv);
}

void become_companion(char** argv) {
  fallback::print_refusal({"exec moonletctl", "(beside moonlet, or on PATH)", execute_companion(argv)});
  _exit(protocol::kOwnFailure);
}

void become_freezer(char** argv) {
  char path[PATH_MAX + kLongestName];
  image::Doubt doubt = {"moonlet-lua", nullptr, ENOENT};
  if (find_beside("moonlet-lua", path))
    doubt = image::start(path, reinterpret_cast<uintptr_t>(argv) - sizeof(long));
  fallback::print_refusal({"start", doubt.path, doubt.error, doubt.reason});
  _exit(protocol::kOwnFailure);
}

}  // namespace moonlet::client
