// The status, again and again.
#pragma once

#include "protocol/socket_path.h"

namespace moonlet::ctl {

/// Prints the table of the server at `address` each second. On a terminal it is a screen of its own, until q or
/// Ctrl-C; the terminal is then as it was. A server that cannot be asked at first fails; on a terminal, one
/// that cannot be asked later is waited for. Returns the exit status.
int watch(const protocol::SocketAddress& address);

}  // namespace moonlet::ctl
