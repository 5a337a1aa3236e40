#include "lua/threaded_heap.h"

#include "lua/sealed_heap.h"

#include <pthread.h>

namespace moonlet::heap {

#if defined(MOONLET_LAYERS)
void (*observe)() = nullptr;
void (*observe_freed)(void* block, size_t size) = nullptr;
#endif

namespace {

bool has_threads = false;
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void lock() { pthread_mutex_lock(&mutex); }
void unlock() { pthread_mutex_unlock(&mutex); }

}  // namespace

void* allocate_in_any_thread(void* context, void* block, size_t old_size, size_t new_size) {
#if defined(MOONLET_LAYERS)
  if (observe != nullptr) observe();
  if (observe_freed != nullptr && block != nullptr && new_size == 0) {
    observe_freed(block, old_size);
    return nullptr;
  }
#endif
  if (!has_threads) return allocate(context, block, old_size, new_size);
  lock();
  void* const result = allocate(context, block, old_size, new_size);
  unlock();
  return result;
}

void expect_threads() {
  if (has_threads) return;
  has_threads = true;
  pthread_atfork(lock, unlock,
                 unlock);  // without memory for it a fork amidst a call leaves the copy's heap locked
}

}  // namespace moonlet::heap
