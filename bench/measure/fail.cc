#include "measure/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

namespace moonlet::bench {

void fail(const char* format, ...) {
  fflush(stdout);
  fputs("moonlet-bench: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(EXIT_FAILURE);
}

}  // namespace moonlet::bench
