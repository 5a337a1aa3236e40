// Whether a client may do less than this process. What it starts here would be outside of its box.
#pragma once

#include "child/accepted.h"

#include <stddef.h>

namespace moonlet::child {

/// How much memory is needed to read what the kernel says of a process, if it has not thousands of groups.
constexpr size_t kRoom = 16 << 10;

/// Remembers what this process may do, for comparison. `wanted`: 1 to compare clients with it, 0 to compare
/// none, -1 to compare them where this process has any capability, as root has. `room`: for kRoom bytes, as
/// below.
void prepare_comparison(int wanted, char* room);

/// Null if whoever connected is in the same namespaces, has the same root directory and no smaller rights than
/// this process. Else what differs, as proc(5) names it; also where that cannot be seen. To be called with the
/// server's rights. What it cannot see: docs/security.md.
const char* find_confinement(const Accepted& accepted, char* room);

}  // namespace moonlet::child
