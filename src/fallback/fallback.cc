#include "fallback/fallback.h"

#include "protocol/protocol.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::fallback {

namespace {

// Where moonlet is installed under the name of the interpreter, an exec of that name would never end.
bool is_this_program(const char* path) {
  struct stat self = {};
  struct stat other = {};
  return stat("/proc/self/exe", &self) == 0 && stat(path, &other) == 0 && self.st_dev == other.st_dev &&
         self.st_ino == other.st_ino;
}

// A variable of the environment that may choose what is executed: none of whoever has started this program with
// the privileges of another.
const char* trusted(const char* name) { return getauxval(AT_SECURE) == 0 ? getenv(name) : nullptr; }

}  // namespace

// execvp(3), but it passes over this program.
int exec_on_path(const char* name, char** argv) {
  if (strchr(name, '/') != nullptr) {
    if (is_this_program(name)) return ELOOP;
    execv(name, argv);
    return errno;
  }
  const char* path = trusted("PATH");
  if (path == nullptr) path = "/usr/local/bin:/bin:/usr/bin";
  const size_t name_length = strlen(name);
  int error = ENOENT;  // or the better reason, if no other entry works
  for (;;) {
    size_t length = 0;  // not strcspn(3): Debian's wants what freestanding.cc leaves out
    while (path[length] != '\0' && path[length] != ':') length++;
    char candidate[PATH_MAX];
    if (length + 1 + name_length < sizeof candidate) {
      memcpy(candidate, path, length);
      candidate[length] = '/';
      // An empty entry is the working directory.
      memcpy(candidate + length + (length != 0 ? 1 : 0), name, name_length + 1);
      if (is_this_program(candidate)) {
        error = ELOOP;
      } else {
        execv(candidate, argv);
        if (errno == EACCES) error = EACCES;
      }
    }
    if (path[length] == '\0') return error;
    path += length + 1;
  }
}

void fall_back(char** argv, const Refusal& refusal) {
  const char* interpreter = trusted("MOONLET_FALLBACK");
  if (interpreter == nullptr) interpreter = MOONLET_FALLBACK_NAME;
  if (*interpreter == '\0') {
    print_refusal(refusal);
  } else {
    tell(interpreter, refusal);
    const int error = exec_on_path(interpreter, argv);
    print_refusal(refusal);
    print_refusal({"exec the fallback", interpreter, error, error == ELOOP ? "it is moonlet itself" : nullptr});
  }
  _exit(protocol::kOwnFailure);
}

}  // namespace moonlet::fallback
