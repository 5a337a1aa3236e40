// What the two processes of moonletd know of each other: the keeper of the image, which was started as
// moonletd, and the server, its child. It lies in memory that they share. Each field has one writer, and a
// reader that meets it half written shows a wrong text once.
#pragma once

#include "protocol/protocol.h"
#include "protocol/status.h"

#include <stdint.h>
#include <sys/types.h>

namespace moonlet::server {

/// What the server tells the keeper, a byte at a time through the socket between them. The end of the socket is
/// the end of the other process.
enum class Hint : char {
  kLaunched = 'l',  // a script has started, and hints_at_launch was set
  kLook = protocol::kLookAgain,
};

struct Bulletin {
  // The keeper's.
  protocol::KeeperStatus status;
  char error[256];       // of the last warm-up that failed, a line
  char difference[256];  // why the last image was made anew, or ""

  // Set by the keeper, cleared by the server with its hint, so that many launches are one hint.
  uint32_t hints_at_launch;
};

}  // namespace moonlet::server
