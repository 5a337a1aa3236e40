// A new image in the place of the old one: moonletd executes itself, and keeps its pid, its listening socket,
// its launches and the connections that wait. What it cannot keep in its memory goes through a file that has no
// name.
#pragma once

#include "base/file_identity.h"
#include "base/kernel.h"
#include "protocol/status.h"

#include <stdint.h>
#include <sys/types.h>

namespace moonlet::zygote {

class Launches;

/// What one image hands over to the next, which may be of another version: fields are only ever added, at the
/// end.
struct Handover {
  uint32_t magic = 0;
  uint32_t bytes = 0;         // sizeof(Handover)
  uint32_t launch_bytes = 0;  // sizeof(Launch)
  pid_t pid = 0;              // of the process; 0: this is its first image
  int listener = 0;
  int launches = 0;               // how many follow, see Launches::save
  int removes_socket = 0;         // the socket file was made here
  FileIdentity socket;            // if so
  kernel::SignalSet mask;         // of blocked signals, when the process started
  uint32_t renewals = 0;          // images before this one
  uint32_t idle_renewals = 0;     // the last of them, without a launch in between
  uint32_t renewals_in_vain = 0;  // for a launch that has not been forked yet
  protocol::StatusCounts counts = {};
};

/// First what came from the image before, then what the next one will get: each field is kept by whoever knows
/// it.
extern Handover handover;  // NOLINT(bugprone-dynamic-static-initializers): it is none

[[nodiscard]] inline bool is_renewed() { return handover.renewals != 0; }

/// First in main, with the standard descriptors open: remembers how this process was started, and reads what an
/// image before has left. From here on SIGHUP does not end the process.
void remember_start(char** argv);

/// With SIGHUP blocked: makes it pending if it came since remember_start().
void repeat_hangup();

/// Takes over the launches of the image before, if there was one.
void restore(Launches& launches);

/// Executes the program anew, as it was started. Returns, and logs why, if that cannot be; then nothing has
/// changed.
void renew(const Launches& launches);

}  // namespace moonlet::zygote
