// What the two processes of moonletd know of each other: the keeper of the image, which was started as
// moonletd, and the server, its child. It lies in memory that they share, and that children share until they
// are moonlet. Each text has one writer, and a reader that meets it half written shows a wrong text once.
#pragma once

#include "child/report.h"
#include "protocol/protocol.h"
#include "protocol/status.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::server {

/// What the server tells the keeper, a byte at a time through the socket between them. The end of the socket is
/// the end of the other process.
enum class Hint : char {
  kLaunched = 'l',  // a script has started, and hints_at_launch was set
  kLook = protocol::kLookAgain,
};

struct Bulletin {
  static constexpr size_t kText = 256;

  protocol::Known known;   // the keeper's, but for what is known of launches
  Refused refused;         // the server's and its children's
  char error[kText];       // the keeper's: of the last warm-up that failed, a line
  char difference[kText];  // the keeper's: why the last image was made anew, or ""
  char unused[kText];      // the server's: kLookAgain, and why a launch could not use the image; or ""

  // Set by the keeper, cleared by the server with its hint, so that many launches are one hint.
  uint32_t hints_at_launch;
};

}  // namespace moonlet::server
