// The system calls that ask something of the world: the table that the tracer and its filter go by.
#pragma once

#include "freeze/asks.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::freeze::questions {

/// TCGETS2, which libcs' headers lack: its structure, 44 bytes, has four control characters more on MIPS.
#if defined(__mips__)
constexpr uint32_t kTerminalSettings2 = 0x4030542a;
#else
constexpr uint32_t kTerminalSettings2 = 0x802c542a;
#endif

/// A system call by its number.
struct TracedCall {
  int16_t number;
  Call call;
};

extern constinit const TracedCall kTracedCalls[];
extern constinit const size_t kTracedCallCount;

}  // namespace moonlet::freeze::questions
