// What moonletd tells of itself, to who asks for it: docs/protocol.md, "The status". moonletctl reads it.
#pragma once

#include <stdint.h>

namespace moonlet::protocol {

/// "MOOS", as the bytes lie in memory on a little-endian machine.
constexpr uint32_t kStatusMagic = 0x534f4f4d;

/// Raised whenever an older reader would misread what a newer moonletd says.
constexpr uint16_t kStatusVersion = 1;

/// The answer begins with this, in host byte order. `magic`, `version` and `moonletd` never move.
struct StatusHead {
  uint32_t magic;
  uint16_t version;
  uint16_t launch_bytes;  // sizeof(LaunchStatus)
  char moonletd[12];      // its version, as text, NUL-padded
  uint32_t lua;           // as Request::lua
};
static_assert(sizeof(StatusHead) == 24);

/// Then comes what the zygote has counted. Times are whole seconds of CLOCK_BOOTTIME.
struct StatusCounts {
  uint32_t started;      // when it began to serve
  uint32_t max;          // launches at once; 0: no limit
  uint32_t spares;       // children that wait for a launch
  uint32_t connections;  // LaunchStatus records that follow
  uint32_t running;      // of these, launches with a child
  uint32_t launches;     // that were given a child, so far
  uint32_t failed;       // of these, ended by a signal or with a status other than 0 and kOwnFailure
  uint32_t declined;     // what was refused to run here, so far: its client goes elsewhere
  uint32_t reloads;      // of the warm image, so far
};
static_assert(sizeof(StatusCounts) == 36);

/// Then one for each connection that is a launch, or shall become one, in the order in which they came.
struct LaunchStatus {
  int32_t pid;     // of the script, in the zygote's pid namespace; 0: it waits
  int32_t client;  // pid
  uint32_t uid;    // of client and script
  uint32_t gid;
  uint32_t started;  // as StatusCounts::started; 0: it waits
};
static_assert(sizeof(LaunchStatus) == 20);

/// Then the warm image: this, and the names of its modules, each with a NUL behind it.
struct ImageStatus {
  uint32_t kilobytes;  // that Lua has in use
  uint32_t modules;
};

/// Last a uint32_t, the number of files that are watched, and their paths, each with a NUL behind it. Then the
/// connection ends.

}  // namespace moonlet::protocol
