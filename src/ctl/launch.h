// A launch through moonletd's socket.
#pragma once

#include "fallback/refusal.h"
#include "protocol/socket_path.h"

namespace moonlet::ctl {

/// Runs the script of `argv` (argc strings, null-terminated) through the moonletd at `address`, in this
/// process' place, and ends as it ends. Returns if no script has started: `refusal` says why.
void launch(int argc, char** argv, const protocol::SocketAddress& address, fallback::Refusal& refusal);

}  // namespace moonlet::ctl
