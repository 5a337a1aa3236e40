// A launch through moonletd's socket. What does without it is built without MOONLET_SOCKET_CLIENT.
#pragma once

#include "client/command_line.h"
#include "client/refusal.h"
#include "protocol/socket_path.h"

namespace moonlet::client {

/// Runs the script through the zygote and ends as it ends. Returns if no script has started: `refusal` says
/// why.
void launch(const CommandLine& line, const protocol::SocketAddress& address, Refusal& refusal);

}  // namespace moonlet::client
