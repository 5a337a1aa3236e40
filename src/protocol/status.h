// What moonletd tells of itself, to who asks for it: docs/protocol.md, "The status". moonletctl reads it.
#pragma once

#include <stdint.h>

namespace moonlet::protocol {

/// "MOOS", as the bytes lie in memory on a little-endian machine.
constexpr uint32_t kStatusMagic = 0x534f4f4d;

/// Raised whenever an older reader would misread what a newer moonletd says.
constexpr uint16_t kStatusVersion = 2;

/// The answer begins with this, in host byte order. `magic`, `version` and `moonletd` never move.
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
  uint32_t failed;       // of these, ended by a signal or with a status other than 0 and kOwnFailure
  uint32_t declined;     // what was refused to run here, so far: its client goes elsewhere
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

/// Then what the keeper of the image knows: this, and two texts with a NUL behind each: the line that tells
/// most of what was wrong with the warm-up that failed last, and why the last image was made anew. Empty:
/// nothing was, or it was not.
struct KeeperStatus {
  uint32_t images;      // made so far
  uint32_t failures;    // warm-ups that failed, so far
  uint32_t failed_at;   // when the last of these did
  uint32_t is_failing;  // the last warm-up did
  uint32_t is_making;   // a warm-up runs
};

/// Then the image: this, the names of its modules, each with a NUL behind it, and the paths that its warm-up
/// has asked for, likewise. Then the connection ends.
struct ImageStatus {
  uint32_t kilobytes;  // of the file; 0: there is none, and all below is 0
  uint32_t made_at;    // when it was made
  uint32_t heap;       // kilobytes that its Lua has in use
  uint32_t variables;  // questions about the environment
  uint32_t others;     // questions about neither that nor files
  uint32_t modules;    // names that follow
  uint32_t paths;      // paths that follow
};

}  // namespace moonlet::protocol
