// One script under lua and under moonlet: whether both do the same, and how long each takes.
#pragma once

#include "measure/options.h"

namespace moonlet::bench {

/// Measures, and prints what was found to standard output. Ends this program with status 1 if there is nothing
/// to compare: no such script, no Lua, one that fails, one that ends differently, a moonlet that is not served.
void compare(const Options& options);

}  // namespace moonlet::bench
