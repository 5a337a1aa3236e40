// System calls that the C libraries lack, wrap with extra calls, or narrow: glibc and musl hide some
// signals, 32-bit musl converts limits. Each returns what syscall(2) returns: -1 and errno on error.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// The same number on every architecture since Linux 5.1, behind what MIPS numbers start from (4000, 5000 or
// 6000); older headers do not name them.
#define MOONLET_NEW_CALL(number) (SYS_read / 1000 * 1000 + (number))
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal MOONLET_NEW_CALL(424)
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open MOONLET_NEW_CALL(434)
#endif
#ifndef SYS_close_range
#define SYS_close_range MOONLET_NEW_CALL(436)
#endif

namespace moonlet::kernel {

/// A sixth argument for system calls that have fewer: such a call is moonlet's own, and no question of the
/// warm-up that it runs in (freeze/call_filter.h). Elsewhere it means nothing. Any number will do that nobody
/// has in that register by chance.
constexpr auto kOwnCall = static_cast<unsigned long>(0x8fd1736e2ba9c045);

// MIPS has 127 signals, every other architecture 64. Both sides put the kernel's own set on the wire,
// in a field that holds the larger one.
#if defined(__mips__)
constexpr int kLastSignal = 127;
#else
constexpr int kLastSignal = 64;
#endif
constexpr int kBitsPerWord = 8 * static_cast<int>(sizeof(long));
constexpr size_t kSignalSetBytes = (kLastSignal + 7) / 8;

/// The kernel's sigset_t: bit (n - 1) stands for signal n.
struct SignalSet {
  unsigned long word[16 / sizeof(long)] = {};

  [[nodiscard]] bool has(int signal) const {
    return (word[(signal - 1) / kBitsPerWord] >> ((signal - 1) % kBitsPerWord) & 1UL) != 0;
  }
  void add(int signal) { word[(signal - 1) / kBitsPerWord] |= 1UL << ((signal - 1) % kBitsPerWord); }
  [[nodiscard]] SignalSet complement() const {
    SignalSet set;
    for (unsigned i = 0; i < sizeof word / sizeof *word; i++) set.word[i] = ~word[i];
    return set;
  }
  static SignalSet all() {
    SignalSet set;
    for (unsigned long& bits : set.word) bits = ~0UL;
    return set;
  }
  static SignalSet of(int signal) {
    SignalSet set;
    set.add(signal);
    return set;
  }
};
static_assert(sizeof(SignalSet) == 16);

/// rt_sigprocmask(2): unlike sigprocmask(3) it hides no signal.
inline long change_mask(int how, const SignalSet* set, SignalSet* old) {
  return syscall(SYS_rt_sigprocmask, how, set, old, kSignalSetBytes);
}

/// Whether as many bytes as a set of signals has can be read at `address`: rt_sigprocmask(2) looks at them
/// before it finds that it does not know what to do with them.
inline bool is_readable(const void* address) {
  constexpr int kUnknown = -1;
  return syscall(SYS_rt_sigprocmask, kUnknown, address, nullptr, kSignalSetBytes) == 0 || errno != EFAULT;
}

/// The kernel's struct sigaction (rt_sigaction(2)), with room for the largest mask.
struct SignalAction {
#if defined(__mips__)
  unsigned flags;
#endif
  void (*handler)(int);
  unsigned long rest[8];
};

/// Gives `signal` its default action. Fails for those that always have it.
inline long set_default(int signal) {
  const SignalAction action = {};  // SIG_DFL
  return syscall(SYS_rt_sigaction, signal, &action, nullptr, kSignalSetBytes);
}

/// Whether `signal` is ignored in this process (rt_sigaction: the C libraries hide some signals).
inline bool is_ignored(int signal) {
  SignalAction action = {};
  return syscall(SYS_rt_sigaction, signal, nullptr, &action, kSignalSetBytes) == 0 && action.handler == SIG_IGN;
}

/// signalfd(2), close-on-exec, for every signal in `set`: a new one, or `changed`, which takes another set.
inline int open_signalfd(const SignalSet& set, int changed = -1) {
  constexpr int kCloseOnExec = 02000000;  // SFD_CLOEXEC, the same on all but alpha, sparc and parisc
  return static_cast<int>(syscall(SYS_signalfd4, changed, &set, kSignalSetBytes, kCloseOnExec));
}

/// pidfd_open(2), Linux 5.3. The descriptor is close-on-exec.
inline int open_pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

/// pidfd_send_signal(2), Linux 5.1. With `group`, to the whole process group (Linux 6.9).
inline long send_signal(int pidfd, int signal, bool group) {
  constexpr unsigned kProcessGroup = 1U << 2;  // PIDFD_SIGNAL_PROCESS_GROUP
  return syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, group ? kProcessGroup : 0U);
}

/// close_range(2), Linux 5.9: `first` and `last` are included.
inline long close_range(unsigned first, unsigned last) { return syscall(SYS_close_range, first, last, 0U); }

/// Which file, and by which mount it is reached (Linux 5.8; 0 before): statx(2)'s structure.
struct Location {
  uint32_t unused[8];
  uint64_t inode;
  uint64_t unused_times[12];
  uint32_t device[2];  // major, minor
  uint64_t mount;
  uint64_t room[13];

  bool operator==(const Location& other) const {
    return inode == other.inode && device[0] == other.device[0] && device[1] == other.device[1] &&
           mount == other.mount;
  }
};
static_assert(sizeof(Location) == 256);

/// statx(2), Linux 4.11, of a path below `directory`: follows symbolic links.
inline long locate(int directory, const char* path, Location* location) {
  constexpr unsigned kInodeAndMount = 0x100 | 0x1000;  // STATX_INO, STATX_MNT_ID
  return syscall(SYS_statx, directory, path, 0, kInodeAndMount, location, kOwnCall);
}

/// Whether access(2) lets this process read `path`.
inline bool may_read(const char* path) {
  return syscall(SYS_faccessat, AT_FDCWD, path, R_OK, 0, 0, kOwnCall) == 0;
}

/// Leaves this process without capabilities (capset(2)).
inline long drop_capabilities() {
  static const uint32_t header[] = {0x20080522, 0};  // _LINUX_CAPABILITY_VERSION_3
  static const uint32_t none[6] = {};
  return syscall(SYS_capset, header, none);
}

/// Gives this process a session keyring of its own (keyctl(2)).
inline long join_new_keyring() { return syscall(SYS_keyctl, 1, nullptr); }

/// A pair of resource limits as the kernel has them on every architecture (prlimit64).
struct Limit {
  uint64_t soft;
  uint64_t hard;
};
constexpr int kLimits = 16;  // RLIM_NLIMITS

/// prlimit(2) on the calling process; either pointer may be null.
inline long limit(int resource, const Limit* set, Limit* old) {
  return syscall(SYS_prlimit64, 0, resource, set, old);
}

/// The limit that process `pid` has (prlimit(2)).
inline long limit_of(pid_t pid, int resource, Limit* its) {
  return syscall(SYS_prlimit64, pid, resource, nullptr, its);
}

}  // namespace moonlet::kernel
