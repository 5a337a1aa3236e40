// The status for people.
#pragma once

#include "ctl/answer.h"
#include "ctl/terminal.h"

namespace moonlet::ctl {

/// Adds lines of at most `columns` columns: what `answer`, of the zygote at `socket`, says of it, and a table
/// of the scripts that run. `brief`: without the names of the modules.
void add_table(Text& out, const Answer& answer, const char* socket, const Colours& colours, int columns,
               bool brief);

}  // namespace moonlet::ctl
