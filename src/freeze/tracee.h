// What a tracer reads of a process that has stopped at a system call.
#pragma once

#include <stddef.h>
#include <sys/types.h>

namespace moonlet::freeze::questions {

struct CallMade {
  long number;  // -1: of another word size
  unsigned long argument[6];
};

/// Where this machine's registers are known: without them nobody is traced.
#if (defined(__x86_64__) && !defined(__ILP32__)) || defined(__aarch64__) || defined(__mips__)
constexpr bool kCanTrace = true;
#else
constexpr bool kCanTrace = false;
#endif

/// Reads the call that `pid` has stopped before. false: it is gone.
bool read_call(pid_t pid, CallMade* call);

/// Reads `size` bytes of its memory, or up to the first that cannot be read: the result is how many.
size_t read_memory(pid_t pid, unsigned long address, void* to, size_t size);

/// Reads a zero-terminated text. false: it is none, or does not fit.
bool read_text(pid_t pid, unsigned long address, char* to, size_t size);

}  // namespace moonlet::freeze::questions
