// The system calls that ask something of the world, and what each asks: the one table that the tracer and its
// filter go by.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::freeze::questions {

enum class Asks : uint8_t {
  kOpen,      // path, flags
  kOpenHow,   // path, flags in memory (openat2)
  kStat,      // path, flags: AT_SYMLINK_NOFOLLOW
  kLstat,     // path
  kAccess,    // path, mode
  kReadLink,  // path
  kExecute,   // path
  kMake,      // path: will be the warm-up's own
  kEnter,     // path: chdir
  kMove,      // fchdir
  kWhere,     // getcwd
  kTerminal,  // descriptor, request: those of TCGETS, TCGETS2 and TIOCGWINSZ
  kHost,
  kUser,
  kProcessors,
  kLimit,       // process, resource, new limits (prlimit64); or resource alone
  kConnection,  // descriptor, address
  kInput,       // descriptor: those of 0
  kRandom,      // size, flags
  kHidden,
};

/// TCGETS2, which libcs' headers lack: its structure, 44 bytes, has four control characters more on MIPS.
#if defined(__mips__)
constexpr uint32_t kTerminalSettings2 = 0x4030542a;
#else
constexpr uint32_t kTerminalSettings2 = 0x802c542a;
#endif

constexpr int8_t kNoArgument = -1;

/// A system call, and which of its arguments counts.
struct TracedCall {
  int16_t number;
  Asks asks;
  int8_t directory;  // that `path` is relative to; kNoArgument: to the working directory
  int8_t path;       // or the descriptor, the resource
  int8_t flags;
};

extern constinit const TracedCall kTracedCalls[];
extern constinit const size_t kTracedCallCount;

}  // namespace moonlet::freeze::questions
