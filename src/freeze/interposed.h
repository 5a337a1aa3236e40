// Functions in front of libc's: what a warm-up asks by them shows in no system call, or must do for one where
// nobody may be traced. The program exports them, so that liblua and all modules find them first. Each records,
// or tells whoever else in this program wants to know (plain_exit.h, generators.h, attributes.h,
// image/fork_handlers.h); then libc's own goes on.
#pragma once

namespace moonlet::freeze::questions {

/// Looks up libc's own functions. Before the warm-up runs: afterwards nothing needs the dynamic linker.
void find_libc_functions();

/// Whether a tracer sees the system calls: then only what it does not see is recorded here.
#if defined(MOONLET_TRACER)
extern constinit bool is_traced;
#else
constexpr bool is_traced = false;
#endif

/// If not null, called before each thread is made, also when nothing is recorded any more.
extern void (*observe_thread)();

/// If not null, called before setvbuf(3) of a stream, likewise.
extern void (*observe_buffering)(const void* stream);

}  // namespace moonlet::freeze::questions
