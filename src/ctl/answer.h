// What this program has asked for, and frees.
#pragma once

#include "ctl/text.h"
#include "image/inspection.h"
#include "protocol/answer.h"
#include "protocol/running_script.h"

namespace moonlet::ctl {

using protocol::name_of_lua;
using protocol::name_of_user;
using protocol::seconds_since;

struct Answer : protocol::Answer {
  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { release(*this); }
};

struct Inspection : image::Inspection {
  /// Of the image that came with `answer`, if any did.
  explicit Inspection(const Answer& answer) {
    if (read(answer.image)) read_notes(answer.image);
  }
  Inspection(const Inspection&) = delete;
  Inspection& operator=(const Inspection&) = delete;
  ~Inspection() { forget(); }
};

/// The arguments behind the name of the program, or that name if there are none, with spaces between them.
Text command_line(const protocol::RunningScript& script);

/// What is to be said of a problem, ready to be printed.
Text printable(const protocol::Problem& problem);

}  // namespace moonlet::ctl
