// Before anything is measured: whether a script does the same under lua and under moonlet.
#pragma once

#include "measure/launch.h"

namespace moonlet::bench {

/// Runs the script once under each. Notes what else a reader of the figures should know, and returns the wait
/// status. Ends this program if the script, which is called `what`, fails, ends differently, or moonlet cannot
/// start it. Then it proposes how moonlet gets warm what the script loads, from `moonletd` or otherwise. An
/// image of $MOONLET_WARM that is being made is waited for.
int rehearse(const Command& lua, const Command& moonlet, const char* what, const char* moonletd);

}  // namespace moonlet::bench
