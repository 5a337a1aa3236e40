#include "measure/fail.h"

#include "ctl/fail.h"
#include "measure/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

namespace moonlet {

namespace {

[[noreturn]] void fail(const char* format, va_list arguments) {
  bench::end_progress();
  fflush(stdout);
  fputs("moonlet-bench: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(EXIT_FAILURE);
}

}  // namespace

void bench::fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  moonlet::fail(format, arguments);
}

// The way out of what is shared with moonletctl.
void ctl::fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  moonlet::fail(format, arguments);
}

}  // namespace moonlet
