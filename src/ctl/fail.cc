#include "ctl/fail.h"

#include "protocol/protocol.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

namespace moonlet::ctl {

void fail(const char* format, ...) {
  fputs("moonletctl: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(protocol::kOwnFailure);
}

}  // namespace moonlet::ctl
