#include "measure/progress.h"

#include "measure/launch.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace moonlet::bench {

namespace {

constexpr double kBetweenUs = 100e3;
constexpr char kRemove[] = "\r\033[K";

struct Shown {
  bool is_there = false;
  double at_us = 0;
};

Shown& shown() {
  static Shown it;
  return it;
}

bool is_seen() {
  static const bool on_terminal = isatty(STDERR_FILENO) != 0;
  return on_terminal;
}

}  // namespace

bool progress_is_due() { return is_seen() && now_us() - shown().at_us >= kBetweenUs; }

void show_progress(const char* format, ...) {
  if (!is_seen()) return;
  winsize window = {};
  const int columns =
      ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col - 1 : 79;
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  fprintf(stderr, "%s%.*s", kRemove, columns, line);
  shown() = {true, now_us()};
}

void end_progress() {
  if (!shown().is_there) return;
  fputs(kRemove, stderr);
  shown().is_there = false;
}

}  // namespace moonlet::bench
