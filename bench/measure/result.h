// What a duel has shown, for people and for programs.
#pragma once

#include "measure/duel.h"

namespace moonlet::bench {

/// Prints to standard output what moonlet gains, then the figures and, on a terminal, how they are distributed.
/// `what` names what was launched.
void print_result(const Duel& duel, const char* what);

/// Writes the figures and each launch to the file `path`, as JSON in hyperfine's form, with seconds. Ends this
/// program if that cannot be.
void export_json(const Duel& duel, const char* path);

}  // namespace moonlet::bench
