// What a call asks of the world: the words that the two tables of calls share, the system calls that a
// tracer sees (traced_calls.h) and the functions in front of libc's (interposed_list.h).
#pragma once

#include <stdint.h>

namespace moonlet::freeze::questions {

enum class Asks : uint8_t {
  // No system call shows these: only a function can ask them.
  kVariable,    // name
  kReads,       // what libc reads behind the function
  kLocale,      // name: likewise, but for those that are built in
  kClock,       //
  kDescriptor,  // descriptor: fstat
  kSettings,    // descriptor: tcgetattr
  kControl,     // descriptor, request: ioctl
  // A tracer sees these better.
  kOpen,      // path, flags: and read
  kStat,      // path, flags (AT_SYMLINK_NOFOLLOW): or any other call that tells what a file's inode holds
  kLstat,     // path: likewise, of a link itself
  kExists,    // path: access(F_OK)
  kAccess,    // path, mode: with the permissions of whoever asks
  kReadLink,  // path
  kExecute,   // path
  kMake,      // path: will be the warm-up's own
  kEnter,     // path: chdir
  kLastOfPaths = kEnter,
  kWhere,  // getcwd
  kHost,
  kUser,
  kProcessors,
  kLimit,       // resource
  kTerminal,    // descriptor, request
  kConnection,  // descriptor, address
  // A function only.
  kStream,    // path, mode in letters: fopen
  kTemplate,  // path: mkstemp
  kLibrary,   // path: dlopen
  kSystem,    // name: sysconf
  kFork,
  kLastQuestion = kFork,
  // No question, but somebody in this program wants to know, also in a launch.
  kExitHandler,
  kForkHandlers,  // the handlers, as __register_atfork has them
  kSeedOfRand,
  kSeedOfRandom,
  kSeedOfRand48,
  kTuning,
  kThread,
  kBuffering,  // the stream: setvbuf
  // Something else stands in its place.
  kProcessId,
  kAdvice,
  kMoveOfMemory,
  // A system call only.
  kOpenHow,        // path, flags in memory: openat2
  kSetLimit,       // resource, new limits: prlimit64
  kMove,           // fchdir
  kInput,          // descriptor: read, of 0
  kRandomNumbers,  // size, flags
  kHidden,
};
constexpr Asks kFirstThatIsTraced = Asks::kOpen;

/// A call, and which of its arguments counts.
struct Call {
  Asks asks;
  int8_t directory;  // that `path` is relative to; kNoArgument: to the working directory
  int8_t path;       // or the descriptor, the resource, the name
  int8_t flags;
};
constexpr int8_t kNoArgument = -1;

// Calls, by how they have their arguments. Those ending in At have a directory's descriptor first.
namespace calls {

/// One of which the argument `at` counts, at most.
constexpr Call plain(Asks asks, int8_t at = kNoArgument) { return {asks, kNoArgument, at, kNoArgument}; }

constexpr Call kOpen = {Asks::kOpen, kNoArgument, 0, 1};
constexpr Call kOpenAt = {Asks::kOpen, 0, 1, 2};
constexpr Call kStat = plain(Asks::kStat, 0);
constexpr Call kStatAt = {Asks::kStat, 0, 1, 3};
constexpr Call kStatx = {Asks::kStat, 0, 1, 2};
constexpr Call kLstat = plain(Asks::kLstat, 0);
constexpr Call kAccess = {Asks::kAccess, kNoArgument, 0, 1};
constexpr Call kAccessAt = {Asks::kAccess, 0, 1, 2};
constexpr Call kLink = plain(Asks::kReadLink, 0);
constexpr Call kLinkAt = {Asks::kReadLink, 0, 1, kNoArgument};
constexpr Call kEnter = plain(Asks::kEnter, 0);
constexpr Call kWhere = plain(Asks::kWhere);
constexpr Call kHost = plain(Asks::kHost);
constexpr Call kUser = plain(Asks::kUser);
constexpr Call kProcessors = plain(Asks::kProcessors);
constexpr Call kLimit = plain(Asks::kLimit, 0);
constexpr Call kConnection = {Asks::kConnection, kNoArgument, 0, 1};

}  // namespace calls

}  // namespace moonlet::freeze::questions
