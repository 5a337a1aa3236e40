#include "client/autostart.h"

#include "client/companion.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

// fork(2), but the parent gets no SIGCHLD at the end: lua could find one pending, if it is blocked.
long fork_quietly() { return syscall(SYS_clone, 0, 0, 0, 0, 0); }

}  // namespace

void start_moonletd() {
  const long child = fork_quietly();
  if (child == 0) {
    if (fork_quietly() == 0) {
      close(STDERR_FILENO);  // if there is no moonletctl, that is no error of the script's
      static char name[] = "moonletctl";
      static char option[] = "--autostart";
      static char* argv[] = {name, option, nullptr};
      become_companion(argv);
    }
    _exit(0);
  }
  if (child > 0) syscall(SYS_wait4, child, nullptr, __WALL, nullptr);
}

}  // namespace moonlet::client
