// What the server's side tells a client, in one message each. A client that is gone needs no report; one that
// does not read a few bytes gets none.
#pragma once

#include "protocol/protocol.h"
#include "protocol/status.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace moonlet {

void tell(int connection, protocol::ReportKind kind, int value);

/// That nothing will run, and why: `reason` has at most protocol::kMaxReason bytes.
void tell_declined(int connection, const char* reason);

/// The clients that were declined: memory that the server and its children share. All 0 at first.
struct Refused {
  uint32_t count[protocol::kReasons];
  uint32_t logged[2];  // a bit for each text that the log has, by its hash

  /// Whether the log does not have it yet: it has from now on.
  bool is_new(const char* reason);
};

/// Counts a client that is declined, and logs each `reason` once; in a moonletd for one user alone the first
/// one of each kind.
void note_declined(Refused& refused, protocol::Declined why, const ucred& peer, const char* reason);

/// Closes `connection`, in the server: without waiting for what its client, if that is another `user`'s, has
/// put into it.
void hang_up(int connection, uid_t user);

}  // namespace moonlet
