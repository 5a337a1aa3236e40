// What the client says of a launch that could not begin.
#pragma once

#include "protocol/refusal.h"

namespace moonlet::client {

using protocol::Refusal;

/// Writes "moonlet: DOING ON: REASON" to standard error.
void print_refusal(const Refusal& refusal);

}  // namespace moonlet::client
