/* Runs a program as an older Linux would, or one that was built with less: what that kernel does not have fails as it
   would there. The name of
   this program's directory is the version, the program has the same name and lies one directory up; so it
   stands in for it anywhere, with arguments, descriptors and environment as they are. */
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 5.1 and later number calls alike everywhere, behind what MIPS starts from. */
#define NEW_CALL(number) (SYS_read / 1000 * 1000 + (number))

/* Of each version the last system call (their numbers only grow) and the last advice of madvise(2) below 100.
   None of them, being older than 6.9, has flags for pidfd_send_signal(2). */
static const struct kernel {
  const char* version;
  int last_call;
  int last_advice;
  int missing; /* one more call */
} kernels[] = {
    {"4.14", SYS_statx, 19, -1},
    {"5.4", NEW_CALL(435), 21, -1}, /* clone3; close_range is 436 */
    {"no-inotify", INT_MAX, INT_MAX, SYS_inotify_init1},
};

enum { PIDFD_SEND_SIGNAL = NEW_CALL(424), FIRST_OTHER_ADVICE = 100 };

/* The low half of an argument: each has 64 bits here. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ARGUMENT(n) (offsetof(struct seccomp_data, args[n]) + 4)
#else
#define ARGUMENT(n) offsetof(struct seccomp_data, args[n])
#endif

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(offset))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
/* Passes over `yes` instructions if what is loaded compares so, over `no` of them if not. */
#define JUMP(compare, value, yes, no) BPF_JUMP(BPF_JMP | (compare) | BPF_K, (unsigned)(value), yes, no)

static int become(const struct kernel* it) {
  struct sock_filter code[] = {
      LOAD(offsetof(struct seccomp_data, nr)),
      JUMP(BPF_JGT, it->last_call, 9, 0),
      JUMP(BPF_JEQ, it->missing, 8, 0),
      JUMP(BPF_JEQ, SYS_madvise, 2, 0),
      JUMP(BPF_JEQ, PIDFD_SEND_SIGNAL, 4, 0),
      RETURN(SECCOMP_RET_ALLOW),
      LOAD(ARGUMENT(2)),
      JUMP(BPF_JGE, FIRST_OTHER_ADVICE, 5, 0),
      JUMP(BPF_JGT, it->last_advice, 3, 4),
      LOAD(ARGUMENT(3)),
      JUMP(BPF_JEQ, 0, 2, 1),
      RETURN(SECCOMP_RET_ERRNO | ENOSYS),
      RETURN(SECCOMP_RET_ERRNO | EINVAL),
      RETURN(SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog filter = {sizeof code / sizeof *code, code};
  /* Root may filter without giving up set-user-ID programs, which some tests need. */
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0) return 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int fail(const char* what) {
  fprintf(stderr, "old_kernel: %s: %s\n", what, strerror(errno));
  return 125;
}

/* Cuts the last part off a path, and returns it. */
static char* cut_name(char* path) {
  char* slash = strrchr(path, '/');
  *slash = '\0';
  return slash + 1;
}

int main(int argc, char** argv) {
  char path[PATH_MAX], program[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  (void)argc;
  if (length < 0) return fail("/proc/self/exe");
  path[length] = '\0';
  const char* name = cut_name(path);
  const char* version = cut_name(path);
  if (snprintf(program, sizeof program, "%s/%s", path, name) >= (int)sizeof program) return 125;
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    if (strcmp(version, kernels[i].version) != 0) continue;
    if (become(&kernels[i]) != 0) return fail("seccomp");
    execv(program, argv);
    return fail(program);
  }
  errno = EINVAL;
  return fail(version);
}
