#include "image/complain.h"

#include <stdarg.h>
#include <stdio.h>

namespace moonlet::image {

int complain(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("moonlet: freeze: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  return 1;
}

}  // namespace moonlet::image
