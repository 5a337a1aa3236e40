// What is remembered of the attempts to freeze a warm-up: its log.
#pragma once

#include "ctl/text.h"

#include <stdint.h>
#include <time.h>

namespace moonlet::ctl {

struct Attempt {
  uint32_t tries = 0;  // since one was last worth it
  bool has_failed = false;
  timespec ended = {};  // the last one; never: zero
  timespec next = {};   // there is none before this
  Text warm_up;         // what $MOONLET_WARM said
  Text output;          // what was printed, and why there is no image
};

/// Reads the log `fd`. What is none is one without attempts.
void read_attempt(int fd, Attempt& attempt);

/// Writes tries, failure, warm-up and output to the log `fd`, and sets the time of the next attempt: delay_of()
/// from now. Where the disk is full the time remains.
void write_attempt(int fd, const Attempt& attempt);

/// In seconds: ever longer, up to protocol::kLongestDelay.
time_t delay_of(const Attempt& attempt);

}  // namespace moonlet::ctl
