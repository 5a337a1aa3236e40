// Questions about a libc that a process of its own has to find out, because it is spent on that.
#pragma once

namespace moonlet::image {

/// What `function` returns in a forked child, or `otherwise` if the child dies. While there is one thread: no
/// trace of the child is left, no pending SIGCHLD either. `function` may break libc there. Returns `otherwise`
/// with errno if no child can be made.
long ask_child(long (*function)(), long otherwise);

}  // namespace moonlet::image
