// Times and sizes for people.
#pragma once

#include <stdint.h>

namespace moonlet::ctl {

struct Short {
  char text[16];
};

/// The two largest units of a time.
Short age(uint32_t seconds);

/// Seconds since a time of CLOCK_REALTIME, 0 if that is still to come.
uint32_t seconds_since_date(int64_t date);

/// A size in KB, MB or GB.
Short bytes(uint64_t size);

}  // namespace moonlet::ctl
