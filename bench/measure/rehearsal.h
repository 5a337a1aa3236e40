// Before anything is measured: whether a script does the same under lua and under moonlet.
#pragma once

#include "measure/launch.h"

namespace moonlet::bench {

/// Runs the script once under each. Prints what else a reader of the figures should know, and returns the wait
/// status. Ends this program if the script fails, ends differently, or moonlet cannot start it. Then it
/// proposes how to make `image` or, where that is null, how to start `moonletd`.
int rehearse(const Command& lua, const Command& moonlet, const char* image, const char* moonletd);

}  // namespace moonlet::bench
