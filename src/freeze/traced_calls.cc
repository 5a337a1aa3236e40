#include "freeze/traced_calls.h"

#include "base/kernel.h"

#include <sys/syscall.h>

namespace moonlet::freeze::questions {

namespace {
constexpr int8_t kNone = kNoArgument;
constexpr Call kMake = calls::plain(Asks::kMake, 0);
constexpr Call kMakeAt = {Asks::kMake, 0, 1, kNone};
constexpr Call kMakeSecond = calls::plain(Asks::kMake, 1);
constexpr Call kMakeSecondAt = {Asks::kMake, 2, 3, kNone};
constexpr Call kHidden = calls::plain(Asks::kHidden);
}  // namespace

constinit const TracedCall kTracedCalls[] = {
#ifdef SYS_open
    {SYS_open, calls::kOpen},
#endif
    {SYS_openat, calls::kOpenAt},
    {MOONLET_NEW_CALL(437), {Asks::kOpenHow, 0, 1, 2}},  // openat2
#ifdef SYS_creat
    {SYS_creat, kMake},
#endif

#ifdef SYS_stat
    {SYS_stat, calls::kStat},
#endif
#ifdef SYS_lstat
    {SYS_lstat, calls::kLstat},
#endif
#ifdef SYS_stat64
    {SYS_stat64, calls::kStat},
#endif
#ifdef SYS_lstat64
    {SYS_lstat64, calls::kLstat},
#endif
#ifdef SYS_newfstatat
    {SYS_newfstatat, calls::kStatAt},
#endif
#ifdef SYS_fstatat64
    {SYS_fstatat64, calls::kStatAt},
#endif
    {SYS_statx, calls::kStatx},
    {SYS_statfs, calls::kStat},
#ifdef SYS_statfs64
    {SYS_statfs64, calls::kStat},
#endif
    {SYS_getxattr, calls::kStat},
    {SYS_lgetxattr, calls::kLstat},
    {SYS_listxattr, calls::kStat},
    {SYS_llistxattr, calls::kLstat},

#ifdef SYS_access
    {SYS_access, calls::kAccess},
#endif
    {SYS_faccessat, calls::kAccessAt},
    {MOONLET_NEW_CALL(439), calls::kAccessAt},  // faccessat2
#ifdef SYS_readlink
    {SYS_readlink, calls::kLink},
#endif
    {SYS_readlinkat, calls::kLinkAt},
    {SYS_execve, calls::plain(Asks::kExecute, 0)},
    {SYS_execveat, {Asks::kExecute, 0, 1, kNone}},

#ifdef SYS_mkdir
    {SYS_mkdir, kMake},
#endif
    {SYS_mkdirat, kMakeAt},
#ifdef SYS_rename
    {SYS_rename, kMakeSecond},
#endif
#ifdef SYS_renameat
    {SYS_renameat, kMakeSecondAt},
#endif
    {SYS_renameat2, kMakeSecondAt},
#ifdef SYS_link
    {SYS_link, kMakeSecond},
#endif
    {SYS_linkat, kMakeSecondAt},
#ifdef SYS_symlink
    {SYS_symlink, kMakeSecond},
#endif
    {SYS_symlinkat, {Asks::kMake, 1, 2, kNone}},
#ifdef SYS_mknod
    {SYS_mknod, kMake},
#endif
    {SYS_mknodat, kMakeAt},

    {SYS_chdir, calls::kEnter},
    {SYS_fchdir, calls::plain(Asks::kMove)},
    {SYS_getcwd, calls::kWhere},
    {SYS_ioctl, {Asks::kTerminal, kNone, 0, 1}},
    {SYS_uname, calls::kHost},

#ifdef SYS_getuid32
    {SYS_getuid32, calls::kUser},
    {SYS_geteuid32, calls::kUser},
    {SYS_getgid32, calls::kUser},
    {SYS_getegid32, calls::kUser},
    {SYS_getresuid32, calls::kUser},
    {SYS_getresgid32, calls::kUser},
    {SYS_getgroups32, calls::kUser},
#endif
    {SYS_getuid, calls::kUser},
    {SYS_geteuid, calls::kUser},
    {SYS_getgid, calls::kUser},
    {SYS_getegid, calls::kUser},
    {SYS_getresuid, calls::kUser},
    {SYS_getresgid, calls::kUser},
    {SYS_getgroups, calls::kUser},

    {SYS_sched_getaffinity, calls::kProcessors},
    {SYS_prlimit64, {Asks::kSetLimit, kNone, 1, 2}},
#ifdef SYS_getrlimit
    {SYS_getrlimit, calls::kLimit},
#endif
#ifdef SYS_ugetrlimit
    {SYS_ugetrlimit, calls::kLimit},
#endif

    {SYS_connect, calls::kConnection},
    {SYS_read, calls::plain(Asks::kInput, 0)},
    {SYS_readv, calls::plain(Asks::kInput, 0)},
    {SYS_getrandom, {Asks::kRandomNumbers, kNone, 1, 2}},
    {MOONLET_NEW_CALL(425), kHidden},  // io_uring_setup
    {SYS_open_by_handle_at, kHidden},
    {SYS_chroot, kHidden},
    {SYS_unshare, kHidden},
    {SYS_setns, kHidden},
};

constinit const size_t kTracedCallCount = sizeof kTracedCalls / sizeof *kTracedCalls;

}  // namespace moonlet::freeze::questions
