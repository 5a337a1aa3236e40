// What travels on the socket. docs/protocol.md describes it for people who write another client; both
// sides of this project include this file and nothing else of each other.
#pragma once

#include "base/kernel.h"

#include <stdint.h>

namespace moonlet::protocol {

/// "MOON", as the bytes lie in memory on a little-endian machine.
constexpr uint32_t kMagic = 0x4e4f4f4d;

/// Raised whenever a request of the old kind would be misread. `magic`, `version` and Report never move,
/// so that each side can tell the other that they do not fit.
constexpr uint16_t kVersion = 1;

/// Descriptors in one message: fewer than the kernel's SCM_MAX_FD (253), as many as musl's sendmsg has room
/// for.
constexpr int kDescriptorsPerMessage = 250;

/// Descriptors in one request, its working directory not counted.
constexpr uint32_t kMaxDescriptors = 4096;

/// Bytes of strings in one request. The kernel lets exec pass 6 MiB (three quarters of _STK_LIM).
constexpr uint32_t kMaxStringBytes = 16U << 20;

/// Strings in one request: each takes at least its terminator.
constexpr uint32_t kMaxStrings = 4U << 20;

/// Bit in Request::flags: the client could be told of a normal end by SIGURG with a value (docs/protocol.md,
/// "The end"). Clients of other programs may set it; no server makes use of it any more.
constexpr uint32_t kEndBySignal = 1;

/// Bit in Request::flags: the client wants to know how the script runs (ReportKind::kRuns).
constexpr uint32_t kTellsHow = 2;

/// A request with another bit is declined.
constexpr uint32_t kKnownFlags = kEndBySignal | kTellsHow;

/// Which Lua a request is for, or 0 for any: LUA_VERSION_NUM, and LuaJIT apart from the Lua 5.1 that it
/// speaks.
constexpr uint32_t kLuaJit = 0x10000;

/// First thing that a client sends, in host byte order. After it follow
///   uint32_t length[argc + envc]   of each string, its terminating NUL included
///   int32_t  number[fdc]           of each passed descriptor in the client, ascending
///   the strings, one after another
/// and as ancillary data (SCM_RIGHTS) the descriptors in that order, then the working directory.
struct Request {
  uint32_t magic;
  uint16_t version;
  uint16_t request_bytes;  // sizeof(Request)
  uint32_t argc;           // at least 1
  uint32_t envc;
  uint32_t fdc;
  uint32_t string_bytes;  // sum of all lengths
  uint32_t lua;
  uint32_t flags;
  uint32_t cookie;  // for kEndBySignal
  uint32_t umask;
  int32_t nice;   // -20..19
  int32_t pid;    // of the client, as it knows itself; 0: not to be compared
  char comm[16];  // name of the thread, prctl(PR_GET_NAME)
  kernel::SignalSet ignored;
  kernel::SignalSet blocked;
  kernel::Limit limit[kernel::kLimits];  // by RLIMIT_* number of this architecture
};
static_assert(sizeof(Request) == 352);

enum class ReportKind : uint32_t {
  kStarted = 1,   // value: pid; its pidfd comes along where the kernel has them. No fallback after this
  kDeclined = 2,  // value: length of the reason that follows, in bytes. Nothing has run
  kExited = 3,    // value: exit status, 0..255
  kKilled = 4,    // value: number of the signal
  kStopped = 5,   // value: number of the signal
  kRuns = 6,      // value: 1 in an image, 0 by lua. Only where it was asked for
};

/// What the server's side answers, any number of times.
struct Report {
  ReportKind kind;
  int32_t value;
};
static_assert(sizeof(Report) == 8);

/// Longest reason that follows a kDeclined, in bytes.
constexpr int kMaxReason = 512;

/// Who sends this byte, and nothing else, wants nothing run: a launch has found that the image is not right,
/// and moonletd shall look. No request begins with it.
constexpr char kLookAgain = 'o';

/// Exit status of moonlet's own failures, as timeout(1), nice(1) and env(1) have it.
constexpr int kOwnFailure = 125;

}  // namespace moonlet::protocol
