// What the server's side tells a client, in one message each. A client that is gone needs no report; one that
// does not read a few bytes gets none.
#pragma once

#include "protocol/protocol.h"

#include <sys/types.h>

namespace moonlet {

void tell(int connection, protocol::ReportKind kind, int value);

/// That nothing will run, and why: `reason` has at most protocol::kMaxReason bytes.
void tell_declined(int connection, const char* reason);

/// Closes `connection`, in the server: without waiting for what its client, if that is another `user`'s, has
/// put into it.
void hang_up(int connection, uid_t user);

}  // namespace moonlet
