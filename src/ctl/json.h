// The status for programs: one object of JSON. docs/moonletctl.1 names its members.
#pragma once

#include "ctl/answer.h"

namespace moonlet::ctl {

/// Adds what `answer`, of the server at `socket`, says, with a newline behind it.
void add_json(Text& out, const Answer& answer, const char* socket);

}  // namespace moonlet::ctl
