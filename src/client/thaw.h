// Which image a launch thaws.
#pragma once

#include "client/command_line.h"
#include "fallback/refusal.h"
#include "protocol/socket_path.h"

namespace moonlet::client {

/// What else a launch does whose image is not right, before it becomes lua.
enum class Then {
  kNothing,
  kTellMoonletd,  // it lies beside the socket
  kHaveFrozen,    // it is one of MOONLET_WARM's: none is there, or none fits
};

/// Without raised privileges: thaws what moonletd has handed over, else --image, else $MOONLET_IMAGE (empty:
/// none), else, if no --socket is named, one of $MOONLET_WARM's, else what lies beside the socket, and runs the
/// script there: then it does not return. `stack`: the address of argc, as the kernel left it. `refusal` gets
/// why it was not thawed; if no image is wanted it stays as it is. It lives as long as the process.
Then thaw(const CommandLine& line, const protocol::SocketAddress& socket, long* stack,
          fallback::Refusal& refusal);

#if defined(MOONLET_LAYERS)
/// Thaws line.image and goes on with its warm-up, to freeze another image on it as `argv`, moonlet's own, says;
/// or exits with 1 and says why not. `stack`: as above.
[[noreturn]] void freeze_on_image(const CommandLine& line, char** argv, long* stack);
#endif

}  // namespace moonlet::client
