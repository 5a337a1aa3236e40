// Everything that exec would have carried over from this process, gathered and sent.
#pragma once

#include "base/kernel.h"
#include "client/refusal.h"

#include <stdint.h>

namespace moonlet::client {

/// What this program has opened for itself, and no script shall see.
struct OwnDescriptors {
  int socket;   // to the zygote
  int signals;  // signalfd
};

/// Sends a launch of `argv` (argc strings, null-terminated) with this process' environment, attributes,
/// working directory and descriptors over `own.socket`, a connected stream socket that is blocking.
/// `blocked`: the signal mask that the script shall have. `cookie`: see protocol::end_value.
/// Returns true when all is sent; else `refusal` says what failed and nothing will run.
bool send_request(const OwnDescriptors& own, int argc, char** argv, const kernel::SignalSet& blocked,
                  uint32_t cookie, Refusal& refusal);

/// Closes what the script has now, but for standard error: a reader waits for the end of a pipe that the
/// script closes, not for this process. Call it after send_request, once the script has started.
void close_passed_descriptors();

}  // namespace moonlet::client
