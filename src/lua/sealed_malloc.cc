#include "lua/sealed_malloc.h"

#include <stddef.h>
#include <stdlib.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)

#include <malloc.h>
#include <stdint.h>
#include <string.h>
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

// Bytes of the end.
size_t size_of_end() {
#if __GLIBC_PREREQ(2, 33)
  return mallinfo2().keepcost;
#else
  return static_cast<size_t>(mallinfo().keepcost);
#endif
}

constexpr size_t kWords =
    2 * sizeof(size_t);              // bytes: malloc's own, at the beginning of the end and of each block
constexpr size_t kPiece = 96 << 10;  // bytes: below what malloc maps by itself

// Zeroes what has been in the memory of nobody, [from, to), and gives its whole pages to the kernel.
void clear(uintptr_t from, uintptr_t to) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (from + page - 1) & ~(page - 1);
  const uintptr_t last = to & ~(page - 1);
  if (first >= last) {
    memset(reinterpret_cast<void*>(from), 0, to - from);
    return;
  }
  memset(reinterpret_cast<void*>(from), 0, first - from);
  madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  memset(reinterpret_cast<void*>(last), 0, to - last);
}

void clear_piece(void* piece) {
  const auto at = reinterpret_cast<uintptr_t>(piece);
  clear(at, at + kPiece);
}

// A block that is taken from the end makes it shorter, or longer where it had to grow first. Others stay taken:
// they are what use_up() is for.
End find_end() {
  constexpr int kMost = 64;
  for (int i = 0; i < kMost; i++) {
    const size_t before = size_of_end();
    void* const piece = malloc(kPiece);
    if (piece == nullptr) break;
    if (size_of_end() == before) {
      clear_piece(piece);
      continue;
    }
    const auto from = reinterpret_cast<uintptr_t>(piece);
    free(piece);  // joins the end again
    return {from, from - kWords + size_of_end()};
  }
  return {0, 0};
}

// Takes all blocks of that size which malloc has elsewhere, for good.
void use_up(size_t size, const End& end) {
  for (;;) {
    void* const block = malloc(size);
    if (block == nullptr) return;
    memset(block, 0, size);  // whatever has been in it
    if (!end.has(block)) continue;
    if (size > kCached) free(block);  // a small one would be handed out first from now on
    return;
  }
}

// Bytes at the end from which free(3) looks whether some can be given back, which a launch would pay for.
constexpr size_t kLooksFrom = 64 << 10;
constexpr size_t kLeft = 48 << 10;

// Takes the most of a long end: what is mapped for a heap without brk(2) is a megabyte.
void shorten(End& end) {
  while (end.to - end.from > kLeft + kPiece) {
    void* const piece = malloc(kPiece);
    if (piece == nullptr) return;
    clear_piece(piece);
    if (!end.has(piece)) return;  // NOLINT(clang-analyzer-unix.Malloc): it stays taken
    end.from = reinterpret_cast<uintptr_t>(piece) + kPiece;
  }
  static_assert(kLeft < kLooksFrom);
}

}  // namespace

void seal_malloc() {
  malloc_trim(0);
  End end = find_end();
  if (end.from == 0) return;
  for (size_t size = kCached; size >= 24; size -= 16) use_up(size, end);
  for (size_t size = 64 << 10; size >= 32; size /= 2) use_up(size, end);
  end = find_end();
  if (end.from == 0) return;
  shorten(end);
  if (end.from + kWords < end.to) clear(end.from + kWords, end.to);
}

}  // namespace moonlet::heap

#else

namespace moonlet::heap {
void seal_malloc() {}
}  // namespace moonlet::heap

#endif
