// How a launch tells moonletd of an image that it could not use.
#pragma once

#include "protocol/socket_path.h"

namespace moonlet::client {

/// Tells the moonletd at `address`, if there is one, that the image beside its socket is not right. Waits for
/// nothing: what moonletd cannot take at once it learns from a later launch.
void have_moonletd_look(const protocol::SocketAddress& address);

}  // namespace moonlet::client
