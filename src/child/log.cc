#include "child/log.h"

#include "base/layout.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet {

namespace {

int descriptor = STDERR_FILENO;

void log_arguments(const char* format, va_list arguments) {
  MOONLET_LARGE static char line[1024];
  static constexpr char kPrefix[] = "moonletd: ";
  memcpy(line, kPrefix, sizeof kPrefix);
  size_t used = sizeof kPrefix - 1;
  vsnprintf(line + used, sizeof line - used - 1, unpack(format), arguments);
  used += strlen(line + used);
  line[used++] = '\n';
  log_text(line, used);
}

}  // namespace

void log_text(const char* text, size_t size) {
  // A log that is not read must not hold the server up: what does not fit is lost. (Not O_NONBLOCK, which
  // would be there for everybody who has this file open.)
  pollfd ready = {descriptor, POLLOUT, 0};
  if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return;
  // Should it be closed, nobody else is there to tell.
  [[maybe_unused]] const ssize_t written = write(descriptor, text, size);
}

void(log_line)(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log_arguments(format, arguments);
  va_end(arguments);
}

void(fail)(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log_arguments(format, arguments);
  va_end(arguments);
  exit(EXIT_FAILURE);
}

void log_to(int fd) { descriptor = fd; }

int log_descriptor() { return descriptor; }

}  // namespace moonlet
