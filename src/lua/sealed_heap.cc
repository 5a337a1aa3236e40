#include "lua/sealed_heap.h"

#include "base/layout.h"
#include "base/memory.h"
#include "lua/heap_chunk.h"
#include "lua/sealed_malloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace moonlet::heap {

namespace {

// Small blocks come from chunks that the kernel maps, the others from malloc(3), which joins neighbours that
// are free and knows when to give memory back: a page of a small block is shared with dozens that live on, a
// large one is copied for itself alone. A chunk consists of runs, and a run is filled with blocks of whatever
// sizes are asked for next: a short script then touches few pages. Lua tells the size of what it frees, so
// that blocks need no header.
constexpr size_t kGrain = 8;        // sizes of small blocks are multiples of it, up to
constexpr size_t kSmall = 1 << 10;  // the largest

// Bytes that a script that prints a line takes.
constexpr size_t kFirst = 8 << 10;

// Bytes: for less the free lists are not walked.
constexpr size_t kReclaimAtLeast = 1 << 20;

// Blocks of malloc's that had to stay where they are when they shrank to kSmall or less.
constexpr int kShrunk = 16;

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

#if defined(MOONLET_LAYERS)
bool (*was_sealed)(uintptr_t address) = nullptr;
MOONLET_LARGE Dropped dropped[kMostDropped];
int dropped_count = 0;

void drop(void* block, size_t size) {
  if (was_sealed != nullptr && dropped_count < kMostDropped)
    dropped[dropped_count++] = {reinterpret_cast<uintptr_t>(block), size};
}
#else
void drop(void*, size_t) {}
#endif

void free_small(void* block, size_t size) {
  Chunk* const chunk = chunk_of(block);
  if (chunk->sealed) return drop(block, size);
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

#if defined(MOONLET_LAYERS)
// Whether this large block is to stay as it is.
bool is_held(const void* block) {
  return was_sealed != nullptr && was_sealed(reinterpret_cast<uintptr_t>(block)) && !is_in_end(block);
}
#else
bool is_held(const void*) { return false; }
#endif

void free_block(void* block, size_t size) {
  const bool is_large = size > kSmall || (heap.shrunken > 0 && was_shrunk(block));
  if (!is_large) return free_small(block, size);
  if (!is_held(block)) return free(block);
  drop(block, size);
}

void* resize(void* block, size_t old_size, size_t new_size) {
  if (old_size > kSmall && new_size > kSmall && !is_held(block)) return resize_large(block, new_size);
  if (old_size <= kSmall && round_up(old_size, kGrain) == round_up(new_size, kGrain)) return block;
  void* moved = allocate_block(new_size);
  if (moved == nullptr) {
    if (new_size > old_size) return nullptr;
    return old_size > kSmall && new_size <= kSmall ? shrink_in_place(block) : block;
  }
  memcpy(moved, block, old_size < new_size ? old_size : new_size);
  free_block(block, old_size);
  return moved;
}

bool clears = false;

// What was in blocks that are free now goes into nobody's image.
void clear_free() {
  for (size_t i = 0; i <= kSmall / kGrain; i++) {
    for (FreeBlock* block = heap.free[i]; block != nullptr;) {
      FreeBlock* const next = block->next;
      memset(block, 0, i * kGrain);
      block = next;
    }
  }
  if (heap.at != nullptr) memset(heap.at, 0, static_cast<size_t>(heap.end - heap.at));
  for (Chunk* chunk = heap.full; chunk != nullptr; chunk = chunk->next) {
    for (size_t run = 1; run < kRuns; run++) {
      if (chunk->live[run] == 0) memset(reinterpret_cast<char*>(chunk) + run * kRun, 0, kRun);
    }
  }
}

}  // namespace

void* allocate(void* /*context*/, void* block, size_t old_size, size_t new_size) {
  if (new_size > PTRDIFF_MAX) return nullptr;
  if (block == nullptr) return new_size > 0 ? allocate_block(new_size) : nullptr;
  if (new_size > 0 && old_size > 0) return resize(block, old_size, new_size);
  if (old_size > 0) free_block(block, old_size);
  return nullptr;
}

void clear_at_seal() { clears = true; }

#if defined(MOONLET_LAYERS)
void hold_sealed(bool (*its_was_sealed)(uintptr_t address)) { was_sealed = its_was_sealed; }

int take_dropped(Dropped (&all)[kMostDropped]) {
  const int count = dropped_count;
  memcpy(all, dropped, sizeof *all * static_cast<size_t>(count));
  memset(dropped, 0, sizeof *dropped * static_cast<size_t>(count));
  dropped_count = 0;
  return count;
}
#endif

void seal() {
#if defined(MOONLET_LAYERS)
  was_sealed = nullptr;
#endif
  while (Chunk* chunk = take_first(heap.roomy)) add(chunk, heap.full);
  if (clears) clear_free();
  for (Chunk* chunk = heap.full; chunk != nullptr; chunk = chunk->next) chunk->sealed = true;
  collapse(heap.full);
  seal_malloc();
  if (heap.fresh == nullptr) heap.fresh = map_chunk();
  heap.full = nullptr;
  heap.at = heap.end = nullptr;
  heap.mapped = heap.freed = 0;
  memset(heap.free, 0, sizeof heap.free);
}

}  // namespace moonlet::heap
