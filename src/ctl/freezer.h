// moonlet --freeze, with a limit of time.
#pragma once

#include "ctl/terminals.h"
#include "ctl/text.h"

namespace moonlet::ctl {

/// Freezes the warm-up `warm_up`, the value of $MOONLET_WARM, into an image at `path`, with descriptors 0 to 2
/// as `terminals` has made them. `output` gets what is printed, and what else is wrong. True if there is an
/// image now. A warm-up that takes longer than a minute is killed. All that it has started in its process group
/// goes with it.
bool freeze(const char* warm_up, const char* path, Terminals& terminals, Text& output);

}  // namespace moonlet::ctl
