// From a sent request to the script's end: this process stands in for the script towards its parent, its
// terminal and whoever signals it.
#pragma once

#include "base/kernel.h"
#include "fallback/refusal.h"

namespace moonlet::ctl {

/// Waits for the answer on `socket`, forwards signals, stops and continues with the script, and ends this
/// process as the script ended. `signals`: a signalfd for those that are not in `mask`; all are blocked;
/// `mask`: the signal mask to give back. Returns only where no script has started and none will: then `refusal`
/// says why, of the moonletd at `path`.
void follow(int socket, const char* path, int signals, const kernel::SignalSet& mask,
            fallback::Refusal& refusal);

}  // namespace moonlet::ctl
