// Which modules a script loads.
#pragma once

#include "measure/launch.h"

#include <stddef.h>

namespace moonlet::bench {

/// Launches the script of `command`, which is argv[1] and its arguments, once more, and watches what it loads
/// through require. Writes to `options` the -l options with which moonletd makes these modules warm, and
/// nothing if there are none: of modules that load others the outermost, of what moonlet has warm already none,
/// nor the program itself where it is a module that never returns.
void find_modules(const Command& command, char* options, size_t size);

}  // namespace moonlet::bench
