// Why a launch could not begin: always one of moonlet's steps, what it was on, and what the kernel or the
// server said.
#pragma once

#include <errno.h>
#include <string.h>

namespace moonlet::protocol {

struct Refusal {
  const char* doing;             // "connect"
  const char* on;                // what it was done on; "": the socket, filled in by who knows it
  int error = 0;                 // errno, or 0 where `reason` tells more
  const char* reason = nullptr;  // in the server's own words; lives until the next launch
  const char* about = nullptr;   // what the reason is about, if that is not `on`; "": the reason names it
};

/// A refusal as text, in pieces: "moonlet: DOING ON: REASON", "moonlet: DOING ON: ABOUT: REASON".
struct RefusalText {
  static constexpr int kParts = 9;
  static constexpr int kBeforeReason = 5;  // then comes ABOUT
  const char* part[kParts];

  explicit RefusalText(const Refusal& refusal) {
    const char* const about = refusal.about != nullptr ? refusal.about : "";
    const bool nobody_listens =
        strcmp(refusal.doing, "connect") == 0 && (refusal.error == ENOENT || refusal.error == ECONNREFUSED);
    const char* const text[kParts] = {"moonlet: ",
                                      refusal.doing,
                                      *refusal.on != '\0' ? " " : "",
                                      refusal.on,
                                      ": ",
                                      about,
                                      *about != '\0' ? ": " : "",
                                      refusal.reason != nullptr ? refusal.reason : strerror(refusal.error),
                                      nobody_listens ? " (is moonletd running?)" : ""};
    memcpy(part, text, sizeof part);
  }
};

}  // namespace moonlet::protocol
