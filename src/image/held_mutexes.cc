#include "image/held_mutexes.h"

#include "base/layout.h"

#include <stddef.h>

namespace moonlet::image {

namespace {

constexpr uint32_t kOwner = 0x3fffffff;  // futex(2), FUTEX_TID_MASK: of a robust one's word

// What libcs have at the beginning of a pthread_mutex_t. Words that look like it by chance are few: all of them
// have to fit.
#if defined(__GLIBC__)
struct Mutex {
  uint32_t lock;
  uint32_t count;
  uint32_t owner;
#if UINTPTR_MAX > UINT32_MAX
  uint32_t users;
  uint32_t kind;
#else
  uint32_t kind;
  uint32_t users;
#endif

  [[nodiscard]] bool is_held_by(uint32_t thread) const {
    constexpr uint32_t kKinds = 0x1ff;
    return owner == thread && (lock == 1 || lock == 2 || (lock & kOwner) == thread) && users == 1 &&
           (kind & ~kKinds) == 0;
  }
  void give_to(uint32_t thread) {
    if ((lock & kOwner) == owner) lock = (lock & ~kOwner) | thread;
    owner = thread;
  }
};
#else
struct Mutex {
  uint32_t type;
  uint32_t lock;
  uint32_t waiters;

  [[nodiscard]] bool is_held_by(uint32_t thread) const {
    constexpr uint32_t kTypes = 0xf;
    return (lock & kOwner) == thread && type != 0 && (type & ~kTypes) == 0 && waiters == 0;
  }
  void give_to(uint32_t thread) { lock = (lock & ~kOwner) | thread; }
};
#endif

constexpr int kMost = 64;
MOONLET_LARGE Mutex* held[kMost];
int count = 0;

bool is_known(const Mutex* mutex) {
  for (int i = 0; i < count; i++) {
    if (held[i] == mutex) return true;
  }
  return false;
}

}  // namespace

void find_held_mutexes(uintptr_t from, uintptr_t to, int owner) {
  for (uintptr_t at = from; at + sizeof(Mutex) <= to && count < kMost; at += alignof(void*)) {
    auto* const mutex = reinterpret_cast<Mutex*>(at);
    if (mutex->is_held_by(static_cast<uint32_t>(owner)) && !is_known(mutex)) held[count++] = mutex;
  }
}

void look_at_held_mutexes(int owner) {
  int still = 0;
  for (int i = 0; i < count; i++) {
    if (held[i]->is_held_by(static_cast<uint32_t>(owner))) held[still++] = held[i];
  }
  count = still;
}

void hand_over_mutexes(int owner) {
  for (int i = 0; i < count; i++) held[i]->give_to(static_cast<uint32_t>(owner));
}

}  // namespace moonlet::image
