#include "lua/sealed_malloc.h"

#include <stddef.h>
#include <stdlib.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)

#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

namespace moonlet::heap {

namespace {

// Bytes: up to here malloc keeps what is freed in a list for each size, in steps of 16 from 24.
constexpr size_t kCached = 1032;

// Takes all blocks of that size which malloc has below `end`, for good.
void use_up(size_t size, const void* end) {
  const void* block = malloc(size);
  while (block != nullptr && block < end) block = malloc(size);
  if (size > kCached) free(const_cast<void*>(block));
}

// Gives the kernel what use_up() has written to of the free end of malloc's heap, but keeps the addresses.
void clear_end(uintptr_t end, size_t page) {
  void* const first = malloc(2 * kCached);  // joins the end again
  const auto free_from = reinterpret_cast<uintptr_t>(first);
  free(first);
  const uintptr_t from = (free_from + page - 1) & ~(page - 1);
  const auto to = reinterpret_cast<uintptr_t>(sbrk(0)) & ~(page - 1);
  if (free_from >= end && from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

}  // namespace

void seal_malloc() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  malloc_trim(0);
  const void* const end = static_cast<char*>(sbrk(0)) - 2 * page;
  for (size_t size = kCached; size >= 24; size -= 16) use_up(size, end);
  for (size_t size = 64 << 10; size >= 32; size /= 2) use_up(size, end);
  clear_end(reinterpret_cast<uintptr_t>(end), page);
}

}  // namespace moonlet::heap

#else

namespace moonlet::heap {
void seal_malloc() {}
}  // namespace moonlet::heap

#endif
