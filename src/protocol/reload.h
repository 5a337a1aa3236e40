// A warm-up anew, by hand.
#pragma once

#include "protocol/answer.h"
#include "protocol/problem.h"
#include "protocol/socket_path.h"

namespace moonlet::protocol {

enum class Reload {
  kDone,
  kNotAsked,  // the zygote could not be asked
  kNotDone,   // it was told to, and has not
};

/// Sends SIGHUP to the zygote at `address`, and waits until it tells that it has reloaded, for ten seconds at
/// most: `answer` is then that, whose bytes are to be freed in any case. Else `problem` is why.
Reload reload(const SocketAddress& address, Answer& answer, Problem& problem);

}  // namespace moonlet::protocol
