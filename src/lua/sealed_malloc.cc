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

// The free end of malloc's heap. In a heap that grows by mappings, and so downwards, others lie above it.
struct End {
  uintptr_t from;
  uintptr_t to;

  [[nodiscard]] bool has(const void* block) const {
    const auto at = reinterpret_cast<uintptr_t>(block);
    return at >= from && at < to;
  }
};

End find_end() {
#if __GLIBC_PREREQ(2, 33)
  const struct mallinfo2 info = mallinfo2();
#else
  const struct mallinfo info = mallinfo();
#endif
  const auto size = static_cast<size_t>(info.keepcost);
  // More than is free anywhere else.
  void* const first = malloc(static_cast<size_t>(info.fordblks) - size + kCached);
  const auto from = reinterpret_cast<uintptr_t>(first);
  free(first);  // joins the end again
  return {from, from + size};
}

// Takes all blocks of that size which malloc has elsewhere, for good.
void use_up(size_t size, const End& end) {
  const void* block = malloc(size);
  while (block != nullptr && !end.has(block)) block = malloc(size);
  if (size > kCached) free(const_cast<void*>(block));
}

// Bytes at the end from which free(3) looks whether some can be given back, which a launch would pay for.
constexpr size_t kLooksFrom = 64 << 10;
constexpr size_t kLeft = 48 << 10;
constexpr size_t kPiece = 96 << 10;  // below what malloc maps

// Takes the most of a long end: what is mapped for a heap without brk(2) is a megabyte.
void shorten(End& end) {
  while (end.to - end.from > kLeft + kPiece) {
    const void* const piece = malloc(kPiece);
    if (!end.has(piece)) return;
    end.from = reinterpret_cast<uintptr_t>(piece) + kPiece;
  }
  static_assert(kLeft < kLooksFrom);
}

// Gives the kernel what has been written to of the end, but keeps the addresses.
void clear(const End& end, size_t page) {
  const uintptr_t from = (end.from + kCached + page - 1) & ~(page - 1);
  const uintptr_t to = end.to & ~(page - 1);
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

}  // namespace

void seal_malloc() {
  malloc_trim(0);
  const End whole = find_end();
  for (size_t size = kCached; size >= 24; size -= 16) use_up(size, whole);
  for (size_t size = 64 << 10; size >= 32; size /= 2) use_up(size, whole);
  End end = find_end();
  shorten(end);
  clear(end, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

}  // namespace moonlet::heap

#else

namespace moonlet::heap {
void seal_malloc() {}
}  // namespace moonlet::heap

#endif
