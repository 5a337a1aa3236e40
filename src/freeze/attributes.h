// What the kernel knows of a process beside its memory and its descriptors. A launch has its caller's; a
// warm-up that has changed it in itself would be another process in lua.
#pragma once

namespace moonlet::freeze {

/// Before the warm-up.
void remember_attributes();

/// The warm-up calls a function that gives its own process more or less of the machine (priorities, limits,
/// ...). Others do that too (renice(8), taskset(1), prlimit(1), daemons that raise what a user looks at), and
/// that is no part of a warm-up: such a change counts only where this was called.
void note_tuning();

/// Says on standard error what the warm-up has changed of it, unless each launch does that again
/// (freeze/redone.h). Returns how much that is.
int complain_of_attributes();

}  // namespace moonlet::freeze
