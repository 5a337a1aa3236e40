// Which image a launch thaws.
#pragma once

#include "client/command_line.h"
#include "fallback/refusal.h"
#include "protocol/socket_path.h"

namespace moonlet::client {

/// Without raised privileges: thaws what --image-descriptor has open, else --image, else $MOONLET_IMAGE (empty:
/// none), else what lies beside the socket, and runs the script there: then it does not return. `stack`: the
/// address of argc, as the kernel left it. `refusal` gets why it was not thawed; if no image is wanted it stays
/// as it is. Returns true if the image beside the socket is there, but not right: then moonletd should look at
/// it.
bool thaw(const CommandLine& line, const protocol::SocketAddress& socket, long* stack,
          fallback::Refusal& refusal);

}  // namespace moonlet::client
