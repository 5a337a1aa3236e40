// The process that watches a warm-up: its parent. It stops each process of the warm-up before a call that asks
// something of the world, takes the answer itself, records both, and lets the call go on.
#pragma once

#include "freeze/log.h"

#include <sys/types.h>

namespace moonlet::freeze::questions {

/// Forks. Returns in the child, which is traced: the caller's process ends as the child does. Where tracing is
/// forbidden the caller's process returns itself. The result: whether it is traced.
bool fork_traced(Log* log);

}  // namespace moonlet::freeze::questions
