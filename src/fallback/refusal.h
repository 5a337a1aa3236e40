// What the client says of a launch that could not begin.
#pragma once

#include "protocol/refusal.h"

namespace moonlet::fallback {

using protocol::Refusal;

/// Writes `count` texts and the end of a line to standard error. More than a path and a few words are cut
/// short.
void write_line(const char* const* part, int count);

/// Writes "moonlet: DOING ON: REASON" to standard error.
void print_refusal(const Refusal& refusal);

/// Whether $MOONLET_VERBOSE wants to know how each launch runs. Nobody may ask that of raised privileges.
bool is_verbose();

/// If is_verbose(): writes in one line that the script runs through `program`, and that `refusal` is why. What
/// was being done is left out where the reason says what it is about.
void tell(const char* program, const Refusal& refusal);

}  // namespace moonlet::fallback
