// What moonletd tells of itself, to who asks for it: docs/protocol.md, "The status". moonletctl reads it.
#pragma once

#include <stdint.h>

namespace moonlet::protocol {

/// "MOOS", as the bytes lie in memory on a little-endian machine.
constexpr uint32_t kStatusMagic = 0x534f4f4d;

/// Raised whenever an older reader would misread what a newer moonletd says.
constexpr uint16_t kStatusVersion = 3;

/// The answer begins with this, in host byte order. With its first byte comes a descriptor of the image
/// (SCM_RIGHTS), if there is one: what that holds the reader finds there. `magic`, `version` and `moonletd`
/// never move.
struct StatusHead {
  uint32_t magic;
  uint16_t version;
  uint16_t launch_bytes;  // sizeof(LaunchStatus)
  char moonletd[12];      // its version, as text, NUL-padded
  uint32_t lua;           // as Request::lua
};
static_assert(sizeof(StatusHead) == 24);

/// Then comes what the server has counted. Times are whole seconds of CLOCK_BOOTTIME.
struct StatusCounts {
  uint32_t started;      // when it began to serve
  uint32_t max;          // launches at once; 0: no limit
  int32_t server;        // process number of the one that serves: the parent of scripts
  uint32_t connections;  // LaunchStatus records that follow
  uint32_t running;      // of these, launches with a child
  uint32_t launches;     // that were given a child, so far
  uint32_t failed;       // of these, ended by a signal or with a status other than 0
  uint32_t killed;       // of these, by a signal
};
static_assert(sizeof(StatusCounts) == 32);

/// Then one for each connection that is a launch, or shall become one, in the order in which they came.
struct LaunchStatus {
  int32_t pid;     // of the script, in the server's pid namespace; 0: it waits
  int32_t client;  // pid
  uint32_t uid;    // of client and script
  uint32_t gid;
  uint32_t started;  // as StatusCounts::started; 0: it waits
};
static_assert(sizeof(LaunchStatus) == 20);

/// Why a client was not served, and went elsewhere.
enum class Declined : uint32_t {
  kOtherUser,     // its user, or its groups, are others than moonletd's
  kConfined,      // otherwise than moonletd
  kPidNamespace,  // another one than moonletd's
  kOtherLua,
  kRequest,      // which is not valid, or did not come
  kStrings,      // more than exec takes
  kDirectory,    // cannot be entered
  kDescriptors,  // cannot be placed
  kLimits,       // cannot be set, or are not the client's
  kResources,    // of moonletd: memory, processes
  kReasons,      // how many
};
constexpr uint32_t kReasons = static_cast<uint32_t>(Declined::kReasons);

/// Then what is known of warm-ups and of clients: this, how many were declined for each of these reasons
/// (uint32_t), and three texts with a NUL behind each: the line that
/// tells most of what was wrong with the warm-up that failed last; why the last image was made anew; and why
/// the last launch that could not use it could not. Empty: nothing was, or it was not.
struct Known {
  uint32_t images;       // made so far
  uint32_t failures;     // warm-ups that failed, so far
  uint32_t failed_at;    // when the last of these did
  uint32_t is_failing;   // the last warm-up did
  uint32_t is_making;    // a warm-up runs
  uint32_t is_outdated;  // the image is
  uint32_t unused_at;    // when a launch last could not use it
};

}  // namespace moonlet::protocol
