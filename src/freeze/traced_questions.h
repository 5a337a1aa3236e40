// What a call of a traced process asks, turned into questions.
#pragma once

#include "freeze/log.h"
#include "freeze/tracee.h"

#include <sys/types.h>

namespace moonlet::freeze::questions {

/// A thread that is traced.
struct Tracee {
  pid_t pid;      // its own; 0: none
  pid_t process;  // its process'
  bool is_child;  // of another process than the warm-up's own
  bool has_executed;
  bool has_moved;    // to another working directory than the warm-up began in
  bool is_at_entry;  // of a call, where each one stops it
};

/// Records what the call that `tracee` has stopped before, `made`, asks.
void ask_as(Log* log, Tracee* tracee, const CallMade& made);

/// A child process has become another program.
void has_executed(Log* log, Tracee* tracee);

}  // namespace moonlet::freeze::questions
