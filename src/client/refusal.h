// Why a launch could not begin: always one of moonlet's steps, what it was on, and what the kernel or the
// zygote said.
#pragma once

namespace moonlet::client {

struct Refusal {
  const char* doing;             // "connect"
  const char* on;                // what it was done on; "": the socket, filled in by who knows it
  int error = 0;                 // errno, or 0 where `reason` tells more
  const char* reason = nullptr;  // in the zygote's own words; lives as long as the program
};

/// Writes "moonlet: DOING ON: REASON" to standard error.
void print_refusal(const Refusal& refusal);

}  // namespace moonlet::client
