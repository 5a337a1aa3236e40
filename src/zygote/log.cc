#include "zygote/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

int descriptor = STDERR_FILENO;

}  // namespace

void log_line(const char* format, ...) {
  if (descriptor < 0) return;
  char line[1024];
  constexpr char kPrefix[] = "moonletd: ";
  memcpy(line, kPrefix, sizeof kPrefix);
  size_t used = sizeof kPrefix - 1;
  va_list arguments;
  va_start(arguments, format);
  const int wanted = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
  va_end(arguments);
  if (wanted > 0) used += strlen(line + used);
  line[used++] = '\n';
  // Where the log goes to is closed or full: nobody else is there to tell.
  [[maybe_unused]] const ssize_t written = write(descriptor, line, used);
}

void log_to(int fd) { descriptor = fd; }

int log_descriptor() { return descriptor; }

}  // namespace moonlet::zygote
