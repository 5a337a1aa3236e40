// The clocks that no change of the time of day reaches.
#pragma once

#include <stdint.h>
#include <time.h>

namespace moonlet {

/// Milliseconds, for deadlines: it stands while the machine sleeps.
inline int64_t milliseconds_now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

/// Seconds, for ages: it goes on while the machine sleeps.
inline uint32_t seconds_since_boot() {
  timespec time = {};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return static_cast<uint32_t>(time.tv_sec);
}

}  // namespace moonlet
