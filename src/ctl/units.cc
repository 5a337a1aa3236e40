#include "ctl/units.h"

#include <stdio.h>
#include <time.h>

namespace moonlet::ctl {

Short age(uint32_t seconds) {
  Short it;
  const uint32_t minutes = seconds / 60;
  const uint32_t hours = minutes / 60;
  if (hours >= 24) {
    snprintf(it.text, sizeof it.text, "%ud%02uh", hours / 24, hours % 24);
  } else if (hours > 0) {
    snprintf(it.text, sizeof it.text, "%uh%02um", hours, minutes % 60);
  } else if (minutes > 0) {
    snprintf(it.text, sizeof it.text, "%um%02us", minutes, seconds % 60);
  } else {
    snprintf(it.text, sizeof it.text, "%us", seconds);
  }
  return it;
}

uint32_t seconds_since_date(int64_t date) {
  const int64_t now = time(nullptr);
  return now > date ? static_cast<uint32_t>(now - date) : 0;
}

Short bytes(uint64_t size) {
  Short it;
  const auto kilobytes = static_cast<double>(size) / 1024;
  if (kilobytes < 1000) {
    snprintf(it.text, sizeof it.text, "%.0f KB", kilobytes);
  } else if (kilobytes < 1000 * 1024) {
    snprintf(it.text, sizeof it.text, "%.1f MB", kilobytes / 1024);
  } else {
    snprintf(it.text, sizeof it.text, "%.1f GB", kilobytes / 1024 / 1024);
  }
  return it;
}

}  // namespace moonlet::ctl
