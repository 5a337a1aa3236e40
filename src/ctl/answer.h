// What this program has asked for, and frees.
#pragma once

#include "ctl/text.h"
#include "protocol/answer.h"
#include "protocol/running_script.h"

namespace moonlet::ctl {

using protocol::name_of_lua;
using protocol::name_of_user;
using protocol::next;
using protocol::seconds_since;

struct Answer : protocol::Answer {
  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { free_bytes(bytes); }
};

struct Script : protocol::RunningScript {
  Script(pid_t pid, pid_t zygote) { look_at(pid, zygote, *this); }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  ~Script() { free_bytes(command); }
};

/// The arguments behind the name of the program, or that name if there are none, with spaces between them.
Text command_line(const Script& script);

/// What is to be said of a problem, ready to be printed.
Text printable(const protocol::Problem& problem);

}  // namespace moonlet::ctl
