// Everything that exec would have carried over from this process, gathered and sent.
#pragma once

#include "base/kernel.h"
#include "fallback/refusal.h"

namespace moonlet::ctl {

/// Gathers a launch of `argv` (argc strings, null-terminated) with this process' environment, attributes,
/// working directory and descriptors: what is open now, so that it comes before anything of this program's own.
/// `blocked`: the signal mask that the script shall have. `argv` and the environment stay as they are until the
/// request is sent. False if it failed: `refusal` says what.
bool gather_request(int argc, char** argv, const kernel::SignalSet& blocked, fallback::Refusal& refusal);

/// Sends what was gathered over `socket`, a connected stream socket that is blocking. Returns true when all is
/// sent; else `refusal` says what failed and nothing will run.
bool send_request(int socket, fallback::Refusal& refusal);

/// Closes what the script has now, but for standard error: a reader waits for the end of a pipe that the
/// script closes, not for this process. Call it after send_request, once the script has started.
void close_passed_descriptors();

}  // namespace moonlet::ctl
