// What a moonletd tells, for people.
#pragma once

#include "ctl/answer.h"
#include "ctl/scripts.h"
#include "ctl/terminal.h"
#include "ctl/text.h"

namespace moonlet::ctl {

/// How much is to be shown, and how.
struct View {
  Colours colours;
  int columns;
  bool is_brief = false;  // as --top has it: modules folded, and what does not change left out
  Order order = Order::kAsStarted;
  double per_second = -1;  // launches; negative: not known
};

/// The table of docs/moonletctl.1. `socket` is what was asked.
void add_table(Text& out, const Answer& answer, const char* socket, const View& view);

}  // namespace moonlet::ctl
