// What a moonletd tells of itself: docs/protocol.md, "The status".
#pragma once

#include "protocol/bytes.h"
#include "protocol/problem.h"
#include "protocol/socket_path.h"
#include "protocol/status.h"

#include <sys/types.h>

namespace moonlet::protocol {

/// To be given back by release().
struct Answer {
  Bytes bytes;     // all that was sent: what follows points into it
  int image = -1;  // a descriptor of its image, or -1
  pid_t pid = 0;   // of the server, from the kernel; 0: it is in a pid namespace that cannot be seen from here
  StatusHead head = {};
  StatusCounts counts = {};
  Known known = {};
  uint32_t declined[kReasons] = {};      // clients, for each reason
  const LaunchStatus* launch = nullptr;  // counts.connections of them
  const char* error = nullptr;           // of the warm-up that failed last, or ""
  const char* reason = nullptr;          // for the last image that was made anew, or ""
  const char* unused = nullptr;          // why a launch could not use it last, or ""
};

/// Frees and closes what an answer has.
void release(Answer& answer);

/// Asks the server at `address`. One that is telling somebody else is asked again, for four seconds. False if
/// there is no answer: `problem` is then why. An answer that was there before gives its memory to this one, and
/// its image goes.
bool ask(const SocketAddress& address, Answer& answer, Problem& problem);

/// The server's and the keeper's counts under the names by which moonletctl and the Lua module tell them, in
/// their order.
struct NamedCounts {
  struct {
    const char* name;
    uint32_t value;
  } each[8];
};
NamedCounts name_counts(const Answer& answer);

/// How many clients were declined, for any reason.
uint32_t declined(const Answer& answer);

/// The process whose children the scripts of `answer` are; 0: it cannot be seen from here.
pid_t parent_of_scripts(const Answer& answer);

/// Seconds since `time`, of the clock that moonletd goes by.
uint32_t seconds_since(uint32_t time);

/// The name of that Lua (Request::lua), or "another Lua".
const char* name_of_lua(uint32_t code);

}  // namespace moonlet::protocol
