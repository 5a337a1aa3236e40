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

}  // namespace moonlet::client
