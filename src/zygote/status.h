// Answers who asks how the zygote is. The zygote itself reads nothing and waits for nothing: a child that it
// forks has all that there is to tell in its memory.
#pragma once

#include "zygote/launches.h"

#include <sys/types.h>

namespace moonlet::zygote {

/// Forks a child that tells `launches`, then what `describe` writes, to `connection`, whose client is `peer`.
/// It is closed here. While an earlier such child lives, or where none can be forked, the connection is closed
/// without an answer. The child runs no Lua, counts as no launch, and ends after two seconds at most.
void answer_status(int connection, const ucred& peer, Launches& launches, void (*describe)(int connection));

/// Notes that a child has ended, which may be the one of answer_status().
void status_reaped(pid_t pid);

}  // namespace moonlet::zygote
