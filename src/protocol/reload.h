// A warm-up anew, by hand.
#pragma once

#include "protocol/answer.h"
#include "protocol/problem.h"
#include "protocol/socket_path.h"

namespace moonlet::protocol {

enum class Reload {
  kDone,
  kNotAsked,  // moonletd could not be asked
  kNotDone,   // it was told to, and has not, or the warm-up has failed
};

/// Sends SIGHUP to the moonletd at `address`, and waits until it tells that the warm-up has run anew, for ten
/// seconds at most but as long as one runs: `answer` is then that, whose bytes are to be freed in any case.
/// Else `problem` is why.
Reload reload(const SocketAddress& address, Answer& answer, Problem& problem);

}  // namespace moonlet::protocol
