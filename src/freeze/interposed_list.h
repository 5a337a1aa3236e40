// The functions that stand in front of libc's, and what each asks: FUNCTION(name, Handler, Reads). Included
// where that macro is defined: once for the entry points, once for the table. MOONLET_FEW_ENTRY_POINTS leaves
// out those that hardly any Lua module calls, for where 60 bytes each count.

#include <features.h>  // __GLIBC__

// What the caller asks for by name.
FUNCTION(getenv, kVariable, kNothing)
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(secure_getenv, kVariable, kNothing)
#endif

// What libc reads on the way.
FUNCTION(setlocale, kLocale, kLocaleNames)
FUNCTION(tzset, kAlways, kTimeZone)
FUNCTION(localtime, kAlways, kTimeZone)
FUNCTION(localtime_r, kAlways, kTimeZone)
FUNCTION(mktime, kAlways, kTimeZone)
FUNCTION(strftime, kAlways, kTimeZone)
FUNCTION(system, kAlways, kPrograms)
FUNCTION(popen, kAlways, kPrograms)
FUNCTION(execv, kAlways, kPrograms)
FUNCTION(execvp, kAlways, kPrograms)
FUNCTION(execve, kAlways, kPrograms)
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(newlocale, kLocale, kLocaleNames)
FUNCTION(ctime, kAlways, kTimeZone)
FUNCTION(ctime_r, kAlways, kTimeZone)
FUNCTION(strftime_l, kAlways, kTimeZone)
FUNCTION(wcsftime, kAlways, kTimeZone)
FUNCTION(syslog, kAlways, kTimeZone)
FUNCTION(vsyslog, kAlways, kTimeZone)
FUNCTION(getdate, kAlways, kDateMask)
FUNCTION(catopen, kAlways, kMessages)
FUNCTION(fmtmsg, kAlways, kMessages)
FUNCTION(tempnam, kAlways, kTemporary)
FUNCTION(getaddrinfo, kAlways, kResolver)
FUNCTION(getnameinfo, kAlways, kResolver)
FUNCTION(gethostbyname, kAlways, kResolver)
FUNCTION(gethostbyname2, kAlways, kResolver)
FUNCTION(gethostbyaddr, kAlways, kResolver)
FUNCTION(getpwnam, kAlways, kAccounts)
FUNCTION(getpwuid, kAlways, kAccounts)
FUNCTION(getpwnam_r, kAlways, kAccounts)
FUNCTION(getpwuid_r, kAlways, kAccounts)
FUNCTION(getgrnam, kAlways, kAccounts)
FUNCTION(getgrgid, kAlways, kAccounts)
FUNCTION(getgrnam_r, kAlways, kAccounts)
FUNCTION(getgrgid_r, kAlways, kAccounts)
FUNCTION(getlogin, kAlways, kAccounts)
FUNCTION(wordexp, kAlways, kPrograms)
FUNCTION(execl, kAlways, kPrograms)
FUNCTION(execlp, kAlways, kPrograms)
FUNCTION(execle, kAlways, kPrograms)
FUNCTION(execvpe, kAlways, kPrograms)
FUNCTION(posix_spawn, kAlways, kPrograms)
FUNCTION(posix_spawnp, kAlways, kPrograms)
#endif
#if defined(__GLIBC__)
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(timelocal, kAlways, kTimeZone)
FUNCTION(__syslog_chk, kAlways, kTimeZone)
FUNCTION(__vsyslog_chk, kAlways, kTimeZone)
FUNCTION(tmpfile, kAlways, kTemporary)
FUNCTION(tmpfile64, kAlways, kTemporary)
FUNCTION(iconv_open, kAlways, kConversion)
FUNCTION(gettext, kAlways, kTranslation)
FUNCTION(dgettext, kAlways, kTranslation)
FUNCTION(dcgettext, kAlways, kTranslation)
FUNCTION(ngettext, kAlways, kTranslation)
FUNCTION(dngettext, kAlways, kTranslation)
FUNCTION(dcngettext, kAlways, kTranslation)
FUNCTION(getopt, kAlways, kOptions)
FUNCTION(getopt_long, kAlways, kOptions)
FUNCTION(getopt_long_only, kAlways, kOptions)
FUNCTION(argp_parse, kAlways, kOptions)
FUNCTION(gethostbyname_r, kAlways, kResolver)
FUNCTION(gethostbyname2_r, kAlways, kResolver)
FUNCTION(gethostbyaddr_r, kAlways, kResolver)
FUNCTION(__res_init, kAlways, kResolver)
FUNCTION(__res_ninit, kAlways, kResolver)
#endif
#endif
#if __SIZEOF_LONG__ == 4
FUNCTION(__localtime64, kAlways, kTimeZone)
FUNCTION(__localtime64_r, kAlways, kTimeZone)
FUNCTION(__mktime64, kAlways, kTimeZone)
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(__ctime64, kAlways, kTimeZone)
FUNCTION(__ctime64_r, kAlways, kTimeZone)
#endif
#endif

// What cannot be compared.
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(time, kTime, kNothing)
FUNCTION(gettimeofday, kTime, kNothing)
FUNCTION(clock_gettime, kTime, kNothing)
#endif

// What the kernel shows without saying who wants to know: libc's streams ask in the same way.
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(fstat, kDescriptor, kNothing)
FUNCTION(tcgetattr, kSettings, kNothing)
FUNCTION(ioctl, kControl, kNothing)
#endif

// What a tracer sees better.
FUNCTION(fopen, kFopen, kNothing)
FUNCTION(open, kOpen, kNothing)
FUNCTION(mkstemp, kTemplate, kNothing)
FUNCTION(stat, kStat, kNothing)
FUNCTION(lstat, kLstat, kNothing)
FUNCTION(access, kAccess, kNothing)
FUNCTION(opendir, kDirectory, kNothing)
FUNCTION(readlink, kLink, kNothing)
FUNCTION(chdir, kEnter, kNothing)
FUNCTION(isatty, kTerminal, kNothing)
FUNCTION(getcwd, kWhere, kNothing)
FUNCTION(uname, kHost, kNothing)
FUNCTION(getuid, kUser, kNothing)
FUNCTION(connect, kConnection, kNothing)
FUNCTION(fork, kFork, kNothing)
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(freopen, kFopen, kNothing)
FUNCTION(openat, kOpenAt, kNothing)
FUNCTION(mkostemp, kTemplate, kNothing)
FUNCTION(mkdtemp, kTemplate, kNothing)
FUNCTION(fstatat, kStatAt, kNothing)
FUNCTION(euidaccess, kAccess, kNothing)
FUNCTION(faccessat, kAccessAt, kNothing)
FUNCTION(scandir, kDirectory, kNothing)
FUNCTION(readlinkat, kLinkAt, kNothing)
FUNCTION(realpath, kStat, kNothing)
FUNCTION(dlopen, kLibrary, kNothing)
FUNCTION(gethostname, kHost, kNothing)
FUNCTION(geteuid, kUser, kNothing)
FUNCTION(getgid, kUser, kNothing)
FUNCTION(getegid, kUser, kNothing)
FUNCTION(getgroups, kUser, kNothing)
FUNCTION(sysconf, kSystem, kNothing)
FUNCTION(getrlimit, kLimit, kNothing)
#endif
#if defined(__GLIBC__)
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(fopen64, kFopen, kNothing)
FUNCTION(freopen64, kFopen, kNothing)
FUNCTION(open64, kOpen, kNothing)
FUNCTION(openat64, kOpenAt, kNothing)
FUNCTION(__open_2, kOpen, kNothing)
FUNCTION(__open64_2, kOpen, kNothing)
FUNCTION(__openat_2, kOpenAt, kNothing)
FUNCTION(__openat64_2, kOpenAt, kNothing)
FUNCTION(mkstemp64, kTemplate, kNothing)
FUNCTION(mkostemp64, kTemplate, kNothing)
FUNCTION(stat64, kStat, kNothing)
FUNCTION(lstat64, kLstat, kNothing)
FUNCTION(fstat64, kDescriptor, kNothing)
FUNCTION(fstatat64, kStatAt, kNothing)
FUNCTION(statx, kStatx, kNothing)
FUNCTION(__xstat, kOldStat, kNothing)
FUNCTION(__xstat64, kOldStat, kNothing)
FUNCTION(__lxstat, kOldLstat, kNothing)
FUNCTION(__lxstat64, kOldLstat, kNothing)
FUNCTION(__fxstat, kOldDescriptor, kNothing)
FUNCTION(__fxstat64, kOldDescriptor, kNothing)
FUNCTION(__readlink_chk, kLink, kNothing)
FUNCTION(__readlinkat_chk, kLinkAt, kNothing)
FUNCTION(__realpath_chk, kStat, kNothing)
FUNCTION(__getcwd_chk, kWhere, kNothing)
FUNCTION(__gethostname_chk, kHost, kNothing)
FUNCTION(__getgroups_chk, kUser, kNothing)
FUNCTION(canonicalize_file_name, kStat, kNothing)
FUNCTION(get_current_dir_name, kWhere, kNothing)
#endif
#endif
#if __SIZEOF_LONG__ == 4
FUNCTION(__stat_time64, kStat, kNothing)
FUNCTION(__lstat_time64, kLstat, kNothing)
#ifndef MOONLET_FEW_ENTRY_POINTS
FUNCTION(__fstat_time64, kDescriptor, kNothing)
FUNCTION(__fstatat_time64, kStatAt, kNothing)
FUNCTION(__time64, kTime, kNothing)
FUNCTION(__gettimeofday64, kTime, kNothing)
FUNCTION(__clock_gettime64, kTime, kNothing)
#endif
#endif

// What is no question, but for others to know: asks.h.
FUNCTION(__cxa_atexit, kExitHandler, kNothing)
#if defined(__GLIBC__)
FUNCTION(__cxa_thread_atexit_impl, kExitHandler,
         kNothing)  // C++ libraries ask whether there is such a function
FUNCTION(on_exit, kExitHandler, kNothing)
FUNCTION(__register_atfork, kForkHandlers, kNothing)  // which pthread_atfork(3) calls, a part of who calls it
#else
FUNCTION(atexit, kExitHandler, kNothing)  // glibc's is a part of who calls it
FUNCTION(pthread_atfork, kForkHandlers, kNothing)
#endif
FUNCTION(srand, kSeedOfRand, kNothing)
FUNCTION(srandom, kSeedOfRandom, kNothing)
FUNCTION(srand48, kSeedOfRand48, kNothing)
FUNCTION(nice, kTuning, kNothing)
FUNCTION(setpriority, kTuning, kNothing)
FUNCTION(sched_setscheduler, kTuning, kNothing)
FUNCTION(sched_setparam, kTuning, kNothing)
FUNCTION(sched_setaffinity, kTuning, kNothing)
FUNCTION(setrlimit, kTuning, kNothing)
#if defined(__GLIBC__)
FUNCTION(setrlimit64, kTuning, kNothing)
#endif
