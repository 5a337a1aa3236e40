// One launch of one program, and what it cost.
#pragma once

#include <sys/types.h>

namespace moonlet::bench {

/// What is launched. Whoever fills it in owns the strings.
struct Command {
  const char* program = nullptr;  // a path: looking for it is not to be measured
  char** argv = nullptr;
  char** environment = nullptr;
};

/// Where the program's descriptors 0, 1 and 2 come from, each inherited where it is its own number.
struct Streams {
  int in = 0;
  int out = 1;
  int error = 2;
};

/// What a launch took: from before it was spawned until it was reaped. Processor time and page faults are those
/// of the program itself and of children that it waited for: what moonletd's child does is not among them.
struct Sample {
  double wall_us = 0;
  double user_us = 0;  // processor time
  double system_us = 0;
  long minor_faults = 0;
  int status = 0;  // as waitpid(2) has it
};

/// Microseconds on a clock that only goes forward.
double now_us();

/// Starts `command` and returns its pid. Ends this program if it cannot be started.
pid_t start(const Command& command, const Streams& streams);

/// Starts `command` and waits for its end.
Sample launch(const Command& command, const Streams& streams);

/// A descriptor of /dev/null, for reading and writing.
int null_device();

}  // namespace moonlet::bench
