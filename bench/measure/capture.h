// One launch with all that the program writes kept.
#pragma once

#include "measure/launch.h"

#include <stdio.h>

namespace moonlet::bench {

struct Capture {
  FILE* out = nullptr;  // temporary files, at their beginning; the caller closes them
  FILE* error = nullptr;
  int status = 0;  // as waitpid(2) has it
};

/// Launches `command` without input and waits for its end.
Capture capture(const Command& command);

/// Whether two files hold the same bytes, from the beginning. Leaves both at their beginning.
bool same_contents(FILE* left, FILE* right);

/// Reads the first line of `file`, without its end, and leaves it at its beginning. Empty if there is none.
const char* first_line(FILE* file, char* buffer, int size);

void close(const Capture& capture);

}  // namespace moonlet::bench
