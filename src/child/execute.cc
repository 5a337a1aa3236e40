#include "child/execute.h"

#include "base/layout.h"
#include "child/packed_text.h"
#include "protocol/handed.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::child {

namespace handed = protocol::handed;

int open_program_directory() {
  MOONLET_LARGE static char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  while (length > 0 && path[length - 1] != '/') length--;
  if (length <= 0) return -1;
  path[length] = '\0';  // a link that fills all of it has a name at its end
  const int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0 || faccessat(directory, handed::kName, X_OK, 0) == 0) return directory;
  close(directory);
  return -1;
}

int open_image(const char* path) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  const int image = open(path, kFlags);
  return image >= 0 ? image : open("/dev/null", kFlags);
}

bool can_be_executed(const LaunchRequest& request) {
  constexpr uint64_t kLongest = 128 << 10;  // with its zero, MAX_ARG_STRLEN where pages have 4 KB
  constexpr uint64_t kLeast = 128 << 10;    // that there is room for
  constexpr uint64_t kMost = 6 << 20;       // three quarters of _STK_LIM
  constexpr uint64_t kFileName = 64;        // and more: it lies there too
  const protocol::Request& header = request.header;
  uint64_t room = header.limit[RLIMIT_STACK].soft / 4;
  if (room > kMost) room = kMost;
  if (room < kLeast) room = kLeast;
  const size_t strings = size_t{header.argc} + header.envc;
  if (header.string_bytes + strings * sizeof(char*) + kFileName > room) return false;
  const char* at = request.strings;
  while (at < request.strings_end) {
    const size_t size = strlen(at) + 1;
    if (size > kLongest) return false;
    at += size;
  }
  return true;
}

int open_title(const char* title) {
  if (strncmp(title, handed::kOwnTitle, handed::kTitleBytes) == 0) return -1;
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  // It fits into any pipe.
  [[maybe_unused]] const ssize_t written = write(ends[1], title, handed::kTitleBytes);
  close(ends[1]);
  return ends[0];
}

void execute(int first, const LaunchRequest& request) {
  syscall(SYS_execveat, first, handed::kName, request.argv, request.environment, 0);
  dprintf(STDERR_FILENO, unpack(MOONLET_TEXT("moonlet: exec moonlet, beside moonletd: %m\n")));
  _exit(protocol::kOwnFailure);
}

}  // namespace moonlet::child
