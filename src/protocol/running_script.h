// A running script, as /proc shows it.
#pragma once

#include "protocol/bytes.h"

#include <stdint.h>
#include <sys/types.h>

namespace moonlet::protocol {

/// Its bytes are to be freed.
struct RunningScript {
  bool visible = false;     // false: it has ended, or must not be seen
  Bytes command;            // its arguments, each with a NUL behind it
  bool has_memory = false;  // false: this user must not see how much it takes
  uint64_t private_bytes = 0;
  uint64_t shared_bytes = 0;  // with other processes: the warm heap, libraries
};

/// What can be seen here of process `pid`, a child of `server`. What is no child of that one is not what is
/// looked for: the number is another process' by now, or means something else in another pid namespace. A
/// script that was there before gives its memory to this one.
void look_at(pid_t pid, pid_t server, RunningScript& script);

/// The same of any process that has started at `ticks`, as find_start() says.
void look_at(pid_t pid, uint64_t ticks, RunningScript& script);

/// When process `pid` started, in clock ticks (sysconf(3)) since the machine did, and its parent. False if
/// there is none.
bool find_start(pid_t pid, uint64_t& ticks, pid_t& parent);

/// The first of the arguments behind the name of the program, or that name if there are none. The others
/// follow, up to the end of `script.command`.
const char* first_argument(const RunningScript& script);

/// The name of a user, or the number if there is no name. It lives until the next call.
const char* name_of_user(uid_t uid);

}  // namespace moonlet::protocol
