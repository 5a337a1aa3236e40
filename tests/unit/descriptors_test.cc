// Closing by the range, also on a kernel that cannot: close_range(2) came with Linux 5.9.

#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::child {
namespace {

// From here on close_range fails in this process as it does on an old kernel.
bool forget_close_range() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof code / sizeof *code, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

// In a child of its own, because all but two descriptors of the process go. Returns its exit status.
int close_in_child(bool old_kernel) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (dup2(2, 30) != 30 || dup2(2, 31) != 31 || dup2(2, 100) != 100 || dup2(2, 101) != 101) _exit(2);
    if (old_kernel && !forget_close_range()) _exit(3);
    const int kept[] = {100, -1, 31, 31};
    close_all_but(2, kept, 4);
    for (int i = 0; i < 200; i++) {
      if (is_open(i) != (i < 2 || i == 31 || i == 100)) _exit(4);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(CloseAllBut, KeepsWhatIsListedAndNothingElse) { EXPECT_EQ(close_in_child(false), 0); }

TEST(CloseAllBut, DoesTheSameWithoutCloseRange) { EXPECT_EQ(close_in_child(true), 0); }

}  // namespace
}  // namespace moonlet::child
