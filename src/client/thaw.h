// Which image a launch thaws.
#pragma once

#include "client/command_line.h"
#include "client/refusal.h"
#include "protocol/socket_path.h"

namespace moonlet::client {

/// Without raised privileges: thaws what --image-descriptor has open, else --image, else $MOONLET_IMAGE (empty:
/// none), else what lies beside the socket, and runs the script there: then it does not return. `stack`: the
/// address of argc, as the kernel left it. Returns true if that image was asked for by name: no other way to
/// run the script is looked for then, but lua. `refusal` gets why it was not thawed; if no image is wanted it
/// stays as it is.
bool thaw(const CommandLine& line, const protocol::SocketAddress& socket, long* stack, Refusal& refusal);

/// Thaws line.image and goes on with its warm-up, to freeze another image on it, as line.argv says: that begins
/// with a name and --freeze. Or exits with 1 and says why not. `stack`: as above.
[[noreturn]] void freeze_on_image(const CommandLine& line, long* stack);

}  // namespace moonlet::client
