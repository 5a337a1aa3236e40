#include "freeze/traced_calls.h"

#include "base/kernel.h"

#include <sys/syscall.h>

namespace moonlet::freeze::questions {

namespace {
constexpr int8_t kNone = kNoArgument;
}

constinit const TracedCall kTracedCalls[] = {
#ifdef SYS_open
    {SYS_open, Asks::kOpen, kNone, 0, 1},
#endif
    {SYS_openat, Asks::kOpen, 0, 1, 2},
    {MOONLET_NEW_CALL(437), Asks::kOpenHow, 0, 1, 2},  // openat2
#ifdef SYS_creat
    {SYS_creat, Asks::kMake, kNone, 0, kNone},
#endif

#ifdef SYS_stat
    {SYS_stat, Asks::kStat, kNone, 0, kNone},
#endif
#ifdef SYS_lstat
    {SYS_lstat, Asks::kLstat, kNone, 0, kNone},
#endif
#ifdef SYS_stat64
    {SYS_stat64, Asks::kStat, kNone, 0, kNone},
#endif
#ifdef SYS_lstat64
    {SYS_lstat64, Asks::kLstat, kNone, 0, kNone},
#endif
#ifdef SYS_newfstatat
    {SYS_newfstatat, Asks::kStat, 0, 1, 3},
#endif
#ifdef SYS_fstatat64
    {SYS_fstatat64, Asks::kStat, 0, 1, 3},
#endif
    {SYS_statx, Asks::kStat, 0, 1, 2},
    {SYS_statfs, Asks::kStat, kNone, 0, kNone},
#ifdef SYS_statfs64
    {SYS_statfs64, Asks::kStat, kNone, 0, kNone},
#endif
    {SYS_getxattr, Asks::kStat, kNone, 0, kNone},
    {SYS_lgetxattr, Asks::kLstat, kNone, 0, kNone},
    {SYS_listxattr, Asks::kStat, kNone, 0, kNone},
    {SYS_llistxattr, Asks::kLstat, kNone, 0, kNone},

#ifdef SYS_access
    {SYS_access, Asks::kAccess, kNone, 0, 1},
#endif
    {SYS_faccessat, Asks::kAccess, 0, 1, 2},
    {MOONLET_NEW_CALL(439), Asks::kAccess, 0, 1, 2},  // faccessat2
#ifdef SYS_readlink
    {SYS_readlink, Asks::kReadLink, kNone, 0, kNone},
#endif
    {SYS_readlinkat, Asks::kReadLink, 0, 1, kNone},
    {SYS_execve, Asks::kExecute, kNone, 0, kNone},
    {SYS_execveat, Asks::kExecute, 0, 1, kNone},

#ifdef SYS_mkdir
    {SYS_mkdir, Asks::kMake, kNone, 0, kNone},
#endif
    {SYS_mkdirat, Asks::kMake, 0, 1, kNone},
#ifdef SYS_rename
    {SYS_rename, Asks::kMake, kNone, 1, kNone},
#endif
#ifdef SYS_renameat
    {SYS_renameat, Asks::kMake, 2, 3, kNone},
#endif
    {SYS_renameat2, Asks::kMake, 2, 3, kNone},
#ifdef SYS_link
    {SYS_link, Asks::kMake, kNone, 1, kNone},
#endif
    {SYS_linkat, Asks::kMake, 2, 3, kNone},
#ifdef SYS_symlink
    {SYS_symlink, Asks::kMake, kNone, 1, kNone},
#endif
    {SYS_symlinkat, Asks::kMake, 1, 2, kNone},
#ifdef SYS_mknod
    {SYS_mknod, Asks::kMake, kNone, 0, kNone},
#endif
    {SYS_mknodat, Asks::kMake, 0, 1, kNone},

    {SYS_chdir, Asks::kEnter, kNone, 0, kNone},
    {SYS_fchdir, Asks::kMove, kNone, kNone, kNone},
    {SYS_getcwd, Asks::kWhere, kNone, kNone, kNone},
    {SYS_ioctl, Asks::kTerminal, kNone, 0, 1},
    {SYS_uname, Asks::kHost, kNone, kNone, kNone},

#ifdef SYS_getuid32
    {SYS_getuid32, Asks::kUser, kNone, kNone, kNone},
    {SYS_geteuid32, Asks::kUser, kNone, kNone, kNone},
    {SYS_getgid32, Asks::kUser, kNone, kNone, kNone},
    {SYS_getegid32, Asks::kUser, kNone, kNone, kNone},
    {SYS_getresuid32, Asks::kUser, kNone, kNone, kNone},
    {SYS_getresgid32, Asks::kUser, kNone, kNone, kNone},
    {SYS_getgroups32, Asks::kUser, kNone, kNone, kNone},
#endif
    {SYS_getuid, Asks::kUser, kNone, kNone, kNone},
    {SYS_geteuid, Asks::kUser, kNone, kNone, kNone},
    {SYS_getgid, Asks::kUser, kNone, kNone, kNone},
    {SYS_getegid, Asks::kUser, kNone, kNone, kNone},
    {SYS_getresuid, Asks::kUser, kNone, kNone, kNone},
    {SYS_getresgid, Asks::kUser, kNone, kNone, kNone},
    {SYS_getgroups, Asks::kUser, kNone, kNone, kNone},

    {SYS_sched_getaffinity, Asks::kProcessors, kNone, kNone, kNone},
    {SYS_prlimit64, Asks::kLimit, 0, 1, 2},
#ifdef SYS_getrlimit
    {SYS_getrlimit, Asks::kLimit, kNone, 0, kNone},
#endif
#ifdef SYS_ugetrlimit
    {SYS_ugetrlimit, Asks::kLimit, kNone, 0, kNone},
#endif

    {SYS_connect, Asks::kConnection, kNone, 0, 1},
    {SYS_read, Asks::kInput, kNone, 0, kNone},
    {SYS_readv, Asks::kInput, kNone, 0, kNone},
    {SYS_getrandom, Asks::kRandom, kNone, 1, 2},
    {MOONLET_NEW_CALL(425), Asks::kHidden, kNone, kNone, kNone},  // io_uring_setup
    {SYS_open_by_handle_at, Asks::kHidden, kNone, kNone, kNone},
    {SYS_chroot, Asks::kHidden, kNone, kNone, kNone},
    {SYS_unshare, Asks::kHidden, kNone, kNone, kNone},
    {SYS_setns, Asks::kHidden, kNone, kNone, kNone},
};

constinit const size_t kTracedCallCount = sizeof kTracedCalls / sizeof *kTracedCalls;

}  // namespace moonlet::freeze::questions
