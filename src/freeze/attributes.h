// What the kernel knows of a process beside its memory and its descriptors. A launch has its caller's; a
// warm-up that has changed it in itself would be another process in lua.
#pragma once

namespace moonlet::freeze {

/// Before the warm-up.
void remember_attributes();

/// Says on standard error what the warm-up has changed of it, unless each launch does that again
/// (freeze/redone.h). Returns how much that is.
int complain_of_attributes();

}  // namespace moonlet::freeze
