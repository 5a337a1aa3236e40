// What musl keeps of its process where no symbol leads to. Only where libc is musl.
#pragma once

#include "image/launch.h"

namespace moonlet::image {

/// Finds it, while there is one thread; false if that fails. `auxiliary`: the vector that musl was given at its
/// start.
bool find_musl_state(const AuxiliaryEntry* auxiliary);

/// The lock of the list of threads. The kernel opens it when a thread has ended
/// (set_tid_address(2)): else a main thread that ends by pthread_exit(3) would leave it locked to all others.
int* thread_list_lock();

/// In a thaw: has musl look at the launch's own vector, in which what it says of the program becomes the
/// image's. musl takes the vector's address for the end of the stack (pthread_getattr_np(3)).
void take_auxiliary(AuxiliaryEntry* launch);

}  // namespace moonlet::image
