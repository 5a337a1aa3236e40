#include "image/child.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::image {

long ask_child(long (*function)(), long otherwise) {
  void* const memory = mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return otherwise;
  auto* const shared = static_cast<volatile long*>(memory);
  *shared = otherwise;
  sigset_t blocked;
  sigset_t mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  sigprocmask(SIG_BLOCK, &blocked, &mask);
  const pid_t child = fork();
  if (child == 0) {
    *shared = function();
    for (;;) syscall(SYS_exit_group, 0);  // libc may be broken by now
  }
  if (child > 0) waitpid(child, nullptr, 0);
  const timespec now = {};
  sigtimedwait(&blocked, nullptr, &now);  // SIGCHLD of this one: nobody shall find it pending
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  const long answer = *shared;
  munmap(memory, sizeof(long));
  return answer;
}

}  // namespace moonlet::image
