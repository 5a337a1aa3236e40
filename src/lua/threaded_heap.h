// The heap of the warm state where others than its own thread may use it: a C module that passes the allocator
// of a state on (lua_getallocf(3)) to states of its own, in threads of its own.
#pragma once

#include <stddef.h>

namespace moonlet::heap {

#if defined(MOONLET_LAYERS)
/// If not null, called before each block is allocated, resized or freed.
extern void (*observe)();
/// If not null, called with each block that is freed, of `size` bytes, and it stays as it is.
extern void (*observe_freed)(void* block, size_t size);
#endif

/// As allocate() (lua/sealed_heap.h). From expect_threads() on any thread may call it at any time.
void* allocate_in_any_thread(void* context, void* block, size_t old_size, size_t new_size);

/// Before a thread is made, by the only one that there is so far. A process without threads takes no lock.
void expect_threads();

}  // namespace moonlet::heap
