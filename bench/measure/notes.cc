#include "measure/notes.h"

#include "ctl/text.h"

#include <stdarg.h>
#include <stdio.h>

namespace moonlet::bench {

namespace {

ctl::Text& notes() {
  static ctl::Text text;
  return text;
}

}  // namespace

void note(const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  notes().format("note: %s\n", line);
}

void print_notes() { fputs(notes().bytes(), stdout); }

}  // namespace moonlet::bench
