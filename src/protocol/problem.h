// Why a moonletd could not be asked, or did not do what it was asked for.
#pragma once

#include "protocol/protocol.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace moonlet::protocol {

struct Problem {
  char text[kMaxReason + 256] = "";  // with what others have chosen, as they have
  int error = 0;                     // errno, if it was that

  /// Adds a formatted text (printf(3)). What is too long is cut.
  [[gnu::format(printf, 2, 3)]] void add(const char* format, ...) {
    const size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - used, format, arguments);
    va_end(arguments);
  }
};

}  // namespace moonlet::protocol
