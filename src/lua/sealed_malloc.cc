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

// Blocks that malloc(3) has handed out. Those that lie one behind the other are made one: its words between
// them would be all that a page of an image has in it.
class Taken {
 public:
  void add(void* block) {
    for (void* const first : first_) {
      if (first == nullptr || address(block) != address(first) + (size_of(first) & ~kFlags)) continue;
      size_of(first) = size_of(first) + (size_of(block) & ~kFlags);
      size_of(block) = 0;
      return;
    }
    first_[next_++ % kMost] = block;
  }
  // But for small ones, which would be kept for their size, and handed out first from now on.
  void give_back() {
    for (void* const first : first_) {
      if (first != nullptr && size_of(first) > kCached + kWords) free(first);
    }
  }

 private:
  static constexpr size_t kMost = 64;
  static constexpr size_t kFlags = 7;
  static uintptr_t address(const void* block) { return reinterpret_cast<uintptr_t>(block); }
  // The word of malloc's before a block: its size, with that word, and flags.
  static volatile size_t& size_of(const void* block) {
    return *reinterpret_cast<volatile size_t*>(address(block) - sizeof(size_t));
  }

  void* first_[kMost] = {};
  size_t next_ = 0;
};

// Takes all blocks of that size which malloc has elsewhere, for good.
void use_up(size_t size, const End& end, Taken& elsewhere, Taken& of_end) {
  for (;;) {
    void* const block = malloc(size);
    if (block == nullptr) return;
    memset(block, 0, size);  // whatever has been in it
    if (!end.has(block)) {
      elsewhere.add(block);
      continue;
    }
    if (size > kCached) {
      free(block);
    } else {
      of_end.add(block);
    }
    return;
  }
}

// Bytes at the end from which free(3) looks whether some can be given back, which a launch would pay for.
constexpr size_t kLooksFrom = 64 << 10;
constexpr size_t kLeft = 48 << 10;

// Takes the most of a long end: what is mapped for a heap without brk(2) is a megabyte.
void shorten(End& end, Taken& taken) {
  while (end.to - end.from > kLeft + kPiece) {
    void* const piece = malloc(kPiece);
    if (piece == nullptr) return;
    clear_piece(piece);
    taken.add(piece);
    if (!end.has(piece)) return;  // NOLINT(clang-analyzer-unix.Malloc): it stays taken
    end.from = reinterpret_cast<uintptr_t>(piece) + kPiece;
  }
  static_assert(kLeft < kLooksFrom);
}

End end_at_seal = {0, 0};

}  // namespace

bool is_in_end(const void* block) { return end_at_seal.has(block); }

void seal_malloc() {
  malloc_trim(0);
  end_at_seal = {0, 0};
  End end = find_end();
  if (end.from == 0) return;
  // The large ones first: what they leave is small, and what is zeroes between malloc's words takes no room in
  // an image.
  Taken elsewhere;  // for good
  Taken of_end;
  for (size_t size = 64 << 10; size > kCached; size /= 2) use_up(size, end, elsewhere, of_end);
  for (size_t size = kCached; size >= 24; size -= 16) use_up(size, end, elsewhere, of_end);
  of_end.give_back();
  end = find_end();
  if (end.from == 0) return;
  shorten(end, elsewhere);
  if (end.from + kWords < end.to) clear(end.from + kWords, end.to);
  end_at_seal = end;
}

}  // namespace moonlet::heap

#else

namespace moonlet::heap {
void seal_malloc() {}
bool is_in_end(const void*) { return false; }
}  // namespace moonlet::heap

#endif
