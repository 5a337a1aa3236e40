// A seccomp filter that stops a process for its tracer at the calls of the table alone: all others cost what
// they did.
#pragma once

namespace moonlet::freeze::questions {

/// Sets it, for good, in this process and all that it starts. false: the kernel has none, or forbids it.
/// Whoever may not gains no_new_privs first (Documentation/userspace-api/seccomp_filter.rst).
bool set_call_filter();

}  // namespace moonlet::freeze::questions
