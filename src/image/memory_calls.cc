#include "image/memory_calls.h"

#include "base/layout.h"
#include "base/memory.h"
#include "base/replaces.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

struct Range {
  uintptr_t from;
  uintptr_t to;
};
constexpr int kMost = 256;
MOONLET_OPEN_ENDED Range heap[kMost];
int count = 0;

bool is_of_heap(uintptr_t from, size_t size) {
  for (int i = 0; i < count; i++) {
    if (from >= heap[i].from && from < heap[i].to && size <= heap[i].to - from) return true;
  }
  return false;
}

// What the kernel would have done to memory of no file: the next look finds zeroes. Only where it may be
// written: the protection of the rest is not known here.
bool clear(void* address, size_t size) {
  return mmap(address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
         MAP_FAILED;
}

void* move(void* address, size_t old_size, size_t new_size) {
  void* const moved = mmap(nullptr, new_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (moved == MAP_FAILED) return moved;
  memcpy(moved, address, old_size);
  munmap(address, old_size);
  return moved;
}

}  // namespace

void note_heap(uintptr_t from, uintptr_t to) {
  if (count < kMost && !is_of_heap(from, to - from)) heap[count++] = {from, to};  // an image below has some
}

bool was_heap(uintptr_t address) { return is_of_heap(address, 1); }

}  // namespace moonlet::image

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name,bugprone-reserved-identifier): libc's names
extern "C" {

MOONLET_EXPORTED int MOONLET_REPLACES(madvise)(void* address, size_t size, int advice) {
#if !defined(MOONLET_PAGE_MONITOR)
  // Nothing would tell that such pages are not to be copied. Before Linux 4.14 there were none, and libraries
  // know another way.
  constexpr int kWipeOnFork = 18;  // MADV_WIPEONFORK
  if (advice == kWipeOnFork) {
    errno = EINVAL;
    return -1;
  }
#endif
  const bool gives_back = advice == MADV_DONTNEED || advice == MADV_FREE;
  if (gives_back && moonlet::image::is_of_heap(reinterpret_cast<uintptr_t>(address), size))
    return moonlet::image::clear(address, size) ? 0 : -1;
  return static_cast<int>(syscall(SYS_madvise, address, size, advice));
}

// A mapping of a file grows over the next pages of the file.
MOONLET_EXPORTED void* MOONLET_REPLACES(mremap)(void* address, size_t old_size, size_t new_size, int flags,
                                                ...) {
  va_list list;
  va_start(list, flags);
  void* const wanted = (flags & MREMAP_FIXED) != 0 ? va_arg(list, void*) : nullptr;
  va_end(list);
  if (new_size > old_size && moonlet::image::is_of_heap(reinterpret_cast<uintptr_t>(address), old_size)) {
    if (flags == MREMAP_MAYMOVE) return moonlet::image::move(address, old_size, new_size);
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(syscall(SYS_mremap, address, old_size, new_size, flags, wanted));
}

#if defined(__GLIBC__)

// Where a heap has no piece of the break yet, glibc's malloc takes it that the break lies at the end of a page,
// and aborts when it does not. One who has moved the break elsewhere finds it there; malloc finds that it
// cannot grow, and maps.
static void* barrier = nullptr;

static void put_barrier(void* end) {
  const auto page = static_cast<uintptr_t>(getpagesize());
  const uintptr_t at = (reinterpret_cast<uintptr_t>(end) + page - 1) & ~(page - 1);
  if (at == reinterpret_cast<uintptr_t>(end)) return;
  void* const mapped = mmap(reinterpret_cast<void*>(at), page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == reinterpret_cast<void*>(at)) {
    barrier = mapped;
  } else if (mapped != MAP_FAILED) {
    munmap(mapped, page);
  }
}

static void remove_barrier() {
  if (barrier != nullptr) munmap(barrier, static_cast<size_t>(getpagesize()));
  barrier = nullptr;
}

void* __sbrk(intptr_t increment);
extern void* __curbrk;

[[gnu::visibility("default")]] void* sbrk(intptr_t increment) noexcept {
  if (increment == 0) return __sbrk(0);
  remove_barrier();
  void* const old = __sbrk(increment);
  put_barrier(__sbrk(0));
  return old;
}

[[gnu::visibility("default")]] int brk(void* end) noexcept {
  remove_barrier();
  __curbrk = reinterpret_cast<void*>(syscall(SYS_brk, end));  // as glibc's does
  put_barrier(__curbrk);
  if (reinterpret_cast<uintptr_t>(__curbrk) >= reinterpret_cast<uintptr_t>(end)) return 0;
  errno = ENOMEM;
  return -1;
}

#endif

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name,bugprone-reserved-identifier)
