#include "lua/sealed_heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace moonlet::heap {

namespace {

// Small blocks come from chunks that the kernel maps, the others from malloc(3), which joins neighbours that
// are free and knows when to give memory back: a page of a small block is shared with dozens that live on, a
// large one is copied for itself alone. A chunk consists of runs, and a run is filled with blocks of whatever
// sizes are asked for next: a short script then touches few pages. Lua tells the size of what it frees, so
// that blocks need no header.
constexpr size_t kGrain = 8;             // sizes of small blocks are multiples of it, up to
constexpr size_t kSmall = 1 << 10;       // the largest
constexpr size_t kRun = 4 << 10;         // bytes
constexpr size_t kRuns = 64;             // in a chunk
constexpr size_t kChunk = kRuns * kRun;  // bytes, and its alignment

// Bytes that a script that prints a line takes.
constexpr size_t kFirst = 8 << 10;

// Bytes: for less the free lists are not walked.
constexpr size_t kReclaimAtLeast = 1 << 20;

// Blocks of malloc's that had to stay where they are when they shrank to kSmall or less.
constexpr int kShrunk = 16;

// At the beginning of a chunk, in front of its first run.
struct Chunk {
  Chunk* next;
  bool sealed;           // nothing here is handed out or taken back any more
  uint16_t live[kRuns];  // by run: 0 if it is unused, else one more than the blocks in use
};

struct FreeBlock {
  FreeBlock* next;
};

struct Heap {
  Chunk* roomy;   // not sealed; in the first one there may be an unused run
  Chunk* full;    // not sealed, without an unused run
  Chunk* fresh;   // mapped by the seal for the next child, its header not written; or null
  char* at;       // next block in the current run
  char* end;      // of the current run
  size_t mapped;  // bytes in those chunks
  size_t freed;   // bytes freed in them since the last reclaim()
  int shrunken;   // of the following, in use
  void* shrunk[kShrunk];
  FreeBlock* free[kSmall / kGrain + 1];  // by size
};
Heap heap;

size_t round_up(size_t size, size_t unit) { return (size + unit - 1) & ~(unit - 1); }

void push_free(void* block, size_t size) {
  FreeBlock*& list = heap.free[size / kGrain];
  static_cast<FreeBlock*>(block)->next = list;
  list = static_cast<FreeBlock*>(block);
}

// How far a block of that size lies behind `at`: 16 bytes are what most machines align to, where the size is
// such.
size_t padding(const char* at, size_t size) {
  if (alignof(max_align_t) <= kGrain) return 0;
  return size % (2 * kGrain) == 0 ? reinterpret_cast<uintptr_t>(at) & kGrain : 0;
}

Chunk* chunk_of(void* block) {
  return reinterpret_cast<Chunk*>(reinterpret_cast<uintptr_t>(block) & ~(kChunk - 1));
}

size_t run_of(void* block) { return (reinterpret_cast<uintptr_t>(block) & (kChunk - 1)) / kRun; }

void* map(size_t size) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at != MAP_FAILED ? at : nullptr;
}

// For LeakSanitizer, which follows no pointers in mappings that it has not been told of.
void has_pointers([[maybe_unused]] void* chunk) {
#ifdef __SANITIZE_ADDRESS__
  __lsan_register_root_region(chunk, kChunk);
#endif
}

void unmap_chunk(void* chunk) {
#ifdef __SANITIZE_ADDRESS__
  __lsan_unregister_root_region(chunk, kChunk);
#endif
  munmap(chunk, kChunk);
}

// A mapping of kChunk bytes on a multiple of kChunk. The kernel puts one below the other, so that usually the
// first attempt lies right.
Chunk* map_chunk() {
  void* at = map(kChunk);
  if (at == nullptr || chunk_of(at) == at) return static_cast<Chunk*>(at);
  munmap(at, kChunk);
  char* const wide = static_cast<char*>(map(2 * kChunk));
  if (wide == nullptr) return nullptr;
  char* const chunk = reinterpret_cast<char*>(round_up(reinterpret_cast<uintptr_t>(wide), kChunk));
  const auto before = static_cast<size_t>(chunk - wide);
  if (before > 0) munmap(wide, before);
  munmap(chunk + kChunk, kChunk - before);
  return reinterpret_cast<Chunk*>(chunk);
}

void add(Chunk* chunk, Chunk*& list) {
  chunk->next = list;
  list = chunk;
}

Chunk* take_first(Chunk*& list) {
  Chunk* const first = list;
  if (first != nullptr) list = first->next;
  return first;
}

bool is_current(Chunk* chunk, size_t run) {
  return heap.end != nullptr && chunk_of(heap.end - 1) == chunk && run_of(heap.end - 1) == run;
}

// Makes runs without a block in use unused ones, and gives chunks without any to the kernel. The free blocks
// of such a run lie all over the lists, so it takes a walk over these: worth it only when much has been freed.
void reclaim() {
  heap.freed = 0;
  for (FreeBlock*& list : heap.free) {
    FreeBlock** link = &list;
    while (*link != nullptr) {
      FreeBlock* const block = *link;
      const size_t run = run_of(block);
      if (chunk_of(block)->live[run] == 1 && !is_current(chunk_of(block), run)) {
        *link = block->next;
      } else {
        link = &block->next;
      }
    }
  }
  Chunk* roomy = heap.roomy;
  Chunk* full = heap.full;
  heap.roomy = heap.full = nullptr;
  while (Chunk* chunk = take_first(roomy != nullptr ? roomy : full)) {
    bool is_used = false;
    for (size_t run = 0; run < kRuns; run++) {
      if (chunk->live[run] == 1 && !is_current(chunk, run)) chunk->live[run] = 0;
      is_used |= chunk->live[run] != 0;
    }
    if (is_used) {
      add(chunk, heap.roomy);  // use_run() finds out
    } else {
      unmap_chunk(chunk);
      heap.mapped -= kChunk;
    }
  }
}

// What is left of the current run may be of use for something smaller.
void leave_run() {
  char* at = heap.at;
  auto rest = static_cast<size_t>(heap.end - at);
  if (rest > kSmall) rest = kSmall - kGrain;  // possible where a block of kSmall was not to be aligned
  if (padding(at, rest) != 0) rest -= kGrain;
  if (rest > 0) push_free(at, rest);
}

// Makes the first unused run the current one. False if there is none.
bool use_run() {
  while (Chunk* const chunk = heap.roomy) {
    for (size_t run = 0; run < kRuns; run++) {
      if (chunk->live[run] != 0) continue;
      leave_run();
      chunk->live[run] = 1;
      heap.at = reinterpret_cast<char*>(chunk) + run * kRun;
      heap.end = heap.at + kRun;
      if (run == 0) heap.at += round_up(sizeof(Chunk), 2 * kGrain);
      return true;
    }
    add(take_first(heap.roomy), heap.full);
  }
  return false;
}

// The same, with more memory where that is needed. False if there is none.
bool find_run() {
  if (use_run()) return true;
  if (heap.freed >= heap.mapped / 4 + kChunk) {
    reclaim();
    if (use_run()) return true;
  }
  Chunk* chunk = heap.fresh;
  heap.fresh = nullptr;
  if (chunk == nullptr) chunk = map_chunk();
  if (chunk != nullptr) {
    has_pointers(chunk);
    heap.mapped += kChunk;
    add(chunk, heap.roomy);
  } else {
    reclaim();
  }
  return use_run();
}

void* allocate_small(size_t size) {
  size = round_up(size, kGrain);
  FreeBlock*& list = heap.free[size / kGrain];
  void* block = list;
  if (block != nullptr) {
    list = list->next;
  } else {
    if (static_cast<size_t>(heap.end - heap.at) < size + padding(heap.at, size) && !find_run()) return nullptr;
    block = heap.at + padding(heap.at, size);
    heap.at = static_cast<char*>(block) + size;
  }
  chunk_of(block)->live[run_of(block)]++;
  return block;
}

void free_small(void* block, size_t size) {
  Chunk* const chunk = chunk_of(block);
  if (chunk->sealed) return;
  size = round_up(size, kGrain);
  chunk->live[run_of(block)]--;
  push_free(block, size);
  // When as much has been freed as all that is mapped, twice, a reclaim() costs little beside it.
  heap.freed += size;
  if (heap.freed / 2 >= heap.mapped + kReclaimAtLeast) reclaim();
}

// What malloc(3) or realloc(3) returns, which may need memory that lies idle here. Null if there is none.
void* resize_large(void* block, size_t size) {
  void* resized = realloc(block, size);
  if (resized == nullptr) {
    reclaim();
    resized = realloc(block, size);
  }
  return resized;
}

// Lua takes it that a block can always shrink (manual of 5.3, lua_Alloc). Where there is no small block to move
// one of malloc's to, it stays where it is, and must be known again when Lua frees it as a small one. Null if
// there are too many of those.
void* shrink_in_place(void* block) {
  for (void*& shrunk : heap.shrunk) {
    if (shrunk != nullptr) continue;
    heap.shrunken++;
    return shrunk = block;
  }
  return nullptr;
}

// Whether this block, of a small size, is such a one: no longer, then.
bool was_shrunk(void* block) {
  for (void*& shrunk : heap.shrunk) {
    if (shrunk != block) continue;
    shrunk = nullptr;
    heap.shrunken--;
    return true;
  }
  return false;
}

void* allocate_block(size_t size) {
  return size <= kSmall ? allocate_small(size) : resize_large(nullptr, size);
}

void free_block(void* block, size_t size) {
  if (size > kSmall || (heap.shrunken > 0 && was_shrunk(block))) return free(block);
  free_small(block, size);
}

void* resize(void* block, size_t old_size, size_t new_size) {
  if (old_size > kSmall && new_size > kSmall) return resize_large(block, new_size);
  if (old_size <= kSmall && round_up(old_size, kGrain) == round_up(new_size, kGrain)) return block;
  void* moved = allocate_block(new_size);
  if (moved == nullptr) {
    if (new_size > old_size) return nullptr;
    return old_size > kSmall ? shrink_in_place(block) : block;
  }
  memcpy(moved, block, old_size < new_size ? old_size : new_size);
  free_block(block, old_size);
  return moved;
}

#if UINTPTR_MAX > UINT32_MAX

bool is_ours(const Chunk* chunk) {
  for (const Chunk* it = heap.full; it != nullptr; it = it->next) {
    if (it == chunk) return true;
  }
  return false;
}

// Makes huge pages of the parts of the heap that fill them: fork copies one entry for each instead of 512.
// Whether a machine has such pages, and Linux 6.1 or later, is for the kernel to know.
void collapse() {
  constexpr size_t kHugePage = 2 << 20;
  for (Chunk* chunk = heap.full; chunk != nullptr; chunk = chunk->next) {
    char* const at = reinterpret_cast<char*>(chunk);
    if (reinterpret_cast<uintptr_t>(at) % kHugePage != 0) continue;
    bool whole = true;
    for (size_t next = kChunk; next < kHugePage && whole; next += kChunk)
      whole = is_ours(reinterpret_cast<Chunk*>(at + next));
    if (whole) madvise(at, kHugePage, MADV_COLLAPSE);
  }
}

#else

// Machines of 32 bits have no huge pages, or none of that size.
void collapse() {}

#endif

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)

// Takes all blocks of that size which malloc has below `end`, for good.
void use_up(size_t size, const void* end) {
  constexpr size_t kCached = 1032;  // up to here malloc keeps what is freed for the same size
  const void* block = malloc(size);
  while (block != nullptr && block < end) block = malloc(size);
  if (size > kCached) free(const_cast<void*>(block));
}

// Gives the kernel what use_up() has written to of the free end of malloc's heap, but keeps the addresses.
void clear_end(uintptr_t end, size_t page) {
  void* const first = malloc(2 * kSmall);  // joins the end again
  const auto free_from = reinterpret_cast<uintptr_t>(first);
  free(first);
  const size_t from = round_up(free_from, page);
  const auto to = reinterpret_cast<uintptr_t>(sbrk(0)) & ~(page - 1);
  if (free_from >= end && from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

// Leaves nothing free in malloc's heap but its end: a launch that was handed some of the rest would copy the
// page, and those of its neighbours in malloc's lists, where what is new takes fresh pages.
void seal_malloc() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  malloc_trim(0);
  const void* const end = static_cast<char*>(sbrk(0)) - 2 * page;
  for (size_t size = kSmall; size >= 24; size -= 16) use_up(size, end);
  for (size_t size = 64 << 10; size >= 32; size /= 2) use_up(size, end);
  clear_end(reinterpret_cast<uintptr_t>(end), page);
}

#else

void seal_malloc() {}

#endif

}  // namespace

void* allocate(void* /*context*/, void* block, size_t old_size, size_t new_size) {
  if (new_size > PTRDIFF_MAX) return nullptr;
  if (block == nullptr) return new_size > 0 ? allocate_block(new_size) : nullptr;
  if (new_size > 0 && old_size > 0) return resize(block, old_size, new_size);
  if (old_size > 0) free_block(block, old_size);
  return nullptr;
}

void seal() {
  while (Chunk* chunk = take_first(heap.roomy)) add(chunk, heap.full);
  for (Chunk* chunk = heap.full; chunk != nullptr; chunk = chunk->next) chunk->sealed = true;
  collapse();
  seal_malloc();
  if (heap.fresh == nullptr) heap.fresh = map_chunk();
  heap.full = nullptr;
  heap.at = heap.end = nullptr;
  heap.mapped = heap.freed = 0;
  memset(heap.free, 0, sizeof heap.free);
}

void prefault() {
  if (heap.fresh != nullptr) madvise(heap.fresh, kFirst, MADV_POPULATE_WRITE);
}

}  // namespace moonlet::heap
