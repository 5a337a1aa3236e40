// A warm-up anew, by hand.
#pragma once

#include "protocol/socket_path.h"

namespace moonlet::ctl {

/// Sends SIGHUP to the zygote at `address`, and waits until it tells that it has reloaded, for ten seconds at
/// most. Prints what has happened and returns the exit status: 0, or 1 if it has not reloaded. A zygote that
/// cannot be asked at first fails.
int reload(const protocol::SocketAddress& address);

}  // namespace moonlet::ctl
