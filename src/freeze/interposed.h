// Functions in front of libc's: what a warm-up asks by them shows in no system call, or must do for one where
// nobody may be traced. The program exports them, so that liblua and all modules find them first. Each records,
// then libc's own goes on; when nothing is recorded it is jumped to at once.
#pragma once

namespace moonlet::freeze::questions {

/// Looks up libc's own functions. Before the warm-up runs: afterwards nothing needs the dynamic linker.
void find_libc_functions();

/// Whether a tracer sees the system calls: then only what it does not see is recorded here.
extern constinit bool is_traced;

/// If not null, called before each dlopen(3), also when nothing is recorded any more.
extern void (*observe_library)();

}  // namespace moonlet::freeze::questions
