// How a launch tells moonletd of an image that it could not use.
#pragma once

#include "protocol/refusal.h"
#include "protocol/socket_path.h"

namespace moonlet::client {

/// Tells the moonletd at `address`, if there is one, that its image is not right here, and why: `refusal`.
/// Waits for nothing: what moonletd cannot take at once it learns from a later launch.
void have_moonletd_look(const protocol::SocketAddress& address, const protocol::Refusal& refusal);

}  // namespace moonlet::client
