// A child's own news of its end: the client need not wait until the kernel has torn the process down, nor
// for the zygote, which may be gone.
#pragma once

#include <stdint.h>
#include <sys/types.h>

namespace moonlet::zygote {

/// Arranges that exit(3) can speak. Call it first thing in main: what is registered first runs last.
void prepare_farewell();

/// In a child whose script is about to start: its exit, whoever calls it, shall be told to the client by
/// SIGURG to process `client` with `cookie`. `watched`, if not -1, is a descriptor whose end means to the
/// client that the script has ended: it closes after the signal, with the process.
void promise_farewell(pid_t client, uint32_t cookie, int watched);

/// Tells the client now what it was promised to hear at the end, that the exit status is `status`. It ends;
/// this process lives on, and speaks for nobody.
void say_farewell_now(int status);

}  // namespace moonlet::zygote
