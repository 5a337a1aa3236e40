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

struct mallinfo2 inform() {
#if __GLIBC_PREREQ(2, 33)
  return mallinfo2();
#else
  const struct mallinfo info = mallinfo();
  return {.fordblks = static_cast<size_t>(info.fordblks), .keepcost = static_cast<size_t>(info.keepcost)};
#endif
}

constexpr size_t kPiece = 96 << 10;  // bytes: below what malloc maps by itself

// Of no size if it cannot be found.
End find_end() {
  const struct mallinfo2 info = inform();
  const auto top = reinterpret_cast<uintptr_t>(sbrk(0));
  // More than is free anywhere else.
  const size_t size = info.fordblks - info.keepcost + kCached;
  if (size > kPiece) return {top - info.keepcost, top};  // right for a heap in one piece; else nothing is there
  void* const first = malloc(size);
  const auto from = reinterpret_cast<uintptr_t>(first);
  free(first);  // joins the end again
  return {from, from + info.keepcost};
}

// Takes all blocks of that size which malloc has elsewhere, for good. `left`: bytes that are free there.
void use_up(size_t size, const End& end, size_t& left) {
  while (left >= size) {
    void* const block = malloc(size);
    if (block == nullptr || end.has(block)) {
      if (size > kCached) free(block);  // a small one would be handed out first from now on
      return;
    }
    left -= size;
  }
}

// Bytes at the end from which free(3) looks whether some can be given back, which a launch would pay for.
constexpr size_t kLooksFrom = 64 << 10;
constexpr size_t kLeft = 48 << 10;

// Takes the most of a long end: what is mapped for a heap without brk(2) is a megabyte.
void shorten(End& end) {
  while (end.to - end.from > kLeft + kPiece) {
    const void* const piece = malloc(kPiece);
    if (!end.has(piece)) return;  // NOLINT(clang-analyzer-unix.Malloc): it stays taken
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
  const struct mallinfo2 info = inform();
  // What is cached for small sizes malloc counts as in use.
  constexpr size_t kMostCached = 512 << 10;
  size_t left = info.fordblks - info.keepcost + kMostCached;
  for (size_t size = kCached; size >= 24; size -= 16) use_up(size, whole, left);
  for (size_t size = 64 << 10; size >= 32; size /= 2) use_up(size, whole, left);
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
