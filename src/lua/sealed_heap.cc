#include "lua/sealed_heap.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace moonlet::heap {

namespace {

// Memory comes from the kernel in chunks, which are handed out by the page. A run of four pages is filled with
// small blocks, of whatever sizes are asked for next: a short script then touches few pages. Lua tells the size
// of what it frees, so that blocks need no header.
constexpr size_t kGrain = 8;               // sizes of small blocks are multiples of it, up to
constexpr size_t kFine = 1024;             // this size; and of
constexpr size_t kCoarseGrain = 128;       // this up to
constexpr size_t kSmall = 4096;            // the largest
constexpr size_t kPage = 4096;             // of this heap, whatever the kernel's are
constexpr size_t kPages = 64;              // in a chunk, one for each bit of a word
constexpr size_t kChunk = kPages * kPage;  // also its alignment
constexpr size_t kLargest = kChunk / 2;    // in a chunk; a larger block is a mapping of its own
constexpr size_t kMappingUnit = 1 << 16;   // of those: no kernel has larger pages
constexpr int kRunPages = 4;               // a run of small blocks
constexpr int kRuns = kPages / kRunPages;
constexpr uint64_t kRunMask = (1U << kRunPages) - 1;
constexpr uint64_t kRunStarts = 0x1111111111111111;

// What a script that prints a line takes.
constexpr size_t kFirstPages = 4;

// A chunk with fewer free pages is not searched until something in it is freed; nor are more than so many that
// have no room for what is wanted. So the search does not grow with the heap.
constexpr int kFewPages = 8;
constexpr int kMostVisits = 32;

// Bytes: for less the free lists are not walked.
constexpr size_t kReclaimAtLeast = 1 << 20;

// Mappings that were freed and wait for one like them. What is larger goes back to the kernel at once.
constexpr int kKept = 2;
constexpr size_t kLargestKept = 512 << 10;

// Mappings that had to stay where they are when they shrank below kLargest.
constexpr int kShrunk = 16;

// At the beginning of a chunk, in front of its first run.
struct Chunk {
  uint64_t used;         // bit i: page i is taken
  uint16_t small;        // bit i: run i holds small blocks
  bool sealed;           // nothing here is handed out or taken back any more
  uint16_t live[kRuns];  // small blocks in use, by run
  bool listed;           // among those with room
  Chunk* next;           // of those that are not sealed
  Chunk* next_with_room;
};

struct FreeBlock {
  FreeBlock* next;
};

struct Mapping {
  void* at;
  size_t size;
};

struct Heap {
  Chunk* chunks;     // not sealed, the newest first
  Chunk* with_room;  // of these, but for some that are full
  Chunk* fresh;      // mapped by the seal for the next child, its header not written; or null
  char* at;          // next small block in the current run
  char* end;         // of the current run
  size_t mapped;     // bytes in those chunks
  size_t freed;      // bytes freed in them since the last reclaim()
  FreeBlock* free[kFine / kGrain + (kSmall - kFine) / kCoarseGrain + 1];  // by size
  Mapping kept[kKept];
  int next_kept;
  Mapping shrunk[kShrunk];
  int shrunken;  // of them in use
};
Heap heap;

size_t round_up(size_t size, size_t unit) { return (size + unit - 1) & ~(unit - 1); }

size_t round_up_small(size_t size) { return round_up(size, size <= kFine ? kGrain : kCoarseGrain); }

FreeBlock*& free_list(size_t small) {
  return heap.free[small <= kFine ? small / kGrain : (kFine / kGrain) + (small - kFine) / kCoarseGrain];
}

void push_free(void* block, size_t small) {
  FreeBlock*& list = free_list(small);
  static_cast<FreeBlock*>(block)->next = list;
  list = static_cast<FreeBlock*>(block);
}

// How far a block of that size lies behind `at`: 16 bytes are what malloc aligns to, where the size is such.
size_t padding(const char* at, size_t small) {
  return small % (2 * kGrain) == 0 ? reinterpret_cast<uintptr_t>(at) & kGrain : 0;
}

Chunk* chunk_of(void* block) {
  return reinterpret_cast<Chunk*>(reinterpret_cast<uintptr_t>(block) & ~(kChunk - 1));
}

int page_of(void* block) {
  return static_cast<int>((reinterpret_cast<uintptr_t>(block) & (kChunk - 1)) / kPage);
}

int run_of(void* block) { return page_of(block) / kRunPages; }

void* map(size_t size) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at != MAP_FAILED ? at : nullptr;
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

void list_with_room(Chunk* chunk) {
  chunk->next_with_room = heap.with_room;
  heap.with_room = chunk;
  chunk->listed = true;
}

bool add_chunk() {
  Chunk* chunk = heap.fresh;
  heap.fresh = nullptr;
  if (chunk == nullptr) chunk = map_chunk();
  if (chunk == nullptr) return false;
  chunk->used = kRunMask;  // the first run is for small blocks alone
  chunk->next = heap.chunks;
  heap.chunks = chunk;
  heap.mapped += kChunk;
  list_with_room(chunk);
  return true;
}

// Takes `count` free pages in a row, the first of them one of `starts`.
void* take_pages_of(Chunk* chunk, size_t count, uint64_t starts) {
  for (size_t i = 0; i < count && i < kPages; i++) starts &= ~chunk->used >> i;
  if (starts == 0) return nullptr;
  const int first = __builtin_ctzll(starts);
  chunk->used |= ((uint64_t{1} << count) - 1) << first;
  return reinterpret_cast<char*>(chunk) + static_cast<size_t>(first) * kPage;
}

void drop_kept_mappings() {
  for (Mapping& kept : heap.kept) {
    if (kept.size > 0) munmap(kept.at, kept.size);
    kept = {};
  }
}

bool is_current(Chunk* chunk, int run) {
  return heap.end != nullptr && chunk_of(heap.end - 1) == chunk && run_of(heap.end - 1) == run;
}

// Gives runs without a small block in use back to their chunks, and chunks without anything to the kernel. The
// free blocks of such a run lie all over the lists, so it takes a walk over these: worth it only when much has
// been freed.
void reclaim() {
  heap.freed = 0;
  drop_kept_mappings();
  for (FreeBlock*& list : heap.free) {
    FreeBlock** link = &list;
    while (*link != nullptr) {
      FreeBlock* const block = *link;
      const int run = run_of(block);
      if (chunk_of(block)->live[run] == 0 && !is_current(chunk_of(block), run)) {
        *link = block->next;
      } else {
        link = &block->next;
      }
    }
  }
  heap.with_room = nullptr;
  Chunk** link = &heap.chunks;
  while (*link != nullptr) {
    Chunk* const chunk = *link;
    for (int run = 0; run < kRuns; run++) {
      if ((chunk->small >> run & 1) == 0 || chunk->live[run] != 0 || is_current(chunk, run)) continue;
      chunk->small = static_cast<uint16_t>(chunk->small & ~(1U << run));
      if (run != 0) chunk->used &= ~(kRunMask << (run * kRunPages));
    }
    if (chunk->used == kRunMask && chunk->small == 0) {
      *link = chunk->next;
      heap.mapped -= kChunk;
      munmap(chunk, kChunk);
    } else {
      list_with_room(chunk);
      link = &chunk->next;
    }
  }
}

// What `take` returns for the first chunk that has it; null if none has.
template <typename Take>
auto search(Take take) {
  Chunk** link = &heap.with_room;
  for (int visits = 0; *link != nullptr && visits < kMostVisits; visits++) {
    Chunk* const chunk = *link;
    if (auto found = take(chunk)) return found;
    if (__builtin_popcountll(~chunk->used) < kFewPages && (chunk->small & 1) != 0) {
      *link = chunk->next_with_room;
      chunk->listed = false;
    } else {
      link = &chunk->next_with_room;
    }
  }
  return decltype(take(heap.with_room)){};
}

void* find_pages(size_t count) {
  return search([count](Chunk* chunk) { return take_pages_of(chunk, count, ~uint64_t{0}); });
}

// What is left of the current run may be of use for something smaller.
void leave_run() {
  char* at = heap.at;
  auto rest = static_cast<size_t>(heap.end - at);
  if (rest > kFine) {
    const size_t skipped = reinterpret_cast<uintptr_t>(at) & kGrain;
    at += skipped;
    rest -= skipped;
    if (rest > kFine) rest -= (rest - kFine) % kCoarseGrain;
  }
  if (padding(at, rest) != 0) rest -= kGrain;  // no multiple of 16 any more
  if (rest > 0) push_free(at, rest);
}

bool find_run() {
  char* const run = search([](Chunk* chunk) {
    const bool has_first = (chunk->small & 1) == 0;
    return static_cast<char*>(has_first ? static_cast<void*>(chunk)
                                        : take_pages_of(chunk, kRunPages, kRunStarts));
  });
  if (run == nullptr) return false;
  leave_run();
  Chunk* const chunk = chunk_of(run);
  chunk->small = static_cast<uint16_t>(chunk->small | 1U << run_of(run));
  heap.end = run + kRunPages * kPage;
  heap.at = run_of(run) == 0 ? run + round_up(sizeof(Chunk), 2 * kGrain) : run;
  return true;
}

// Room for what `find` looks for: where it is, where it can be made, or from the kernel.
template <typename Find>
auto find_or_add(Find find) {
  auto found = find();
  if (!found && heap.freed >= heap.mapped / 4 + kChunk) {
    reclaim();
    found = find();
  }
  if (found) return found;
  if (!add_chunk()) reclaim();
  return find();
}

void* allocate_small(size_t size) {
  size = round_up_small(size);
  FreeBlock*& list = free_list(size);
  void* block = list;
  if (block != nullptr) {
    list = list->next;
  } else {
    if (static_cast<size_t>(heap.end - heap.at) < size + padding(heap.at, size) && !find_or_add(find_run))
      return nullptr;
    block = heap.at + padding(heap.at, size);
    heap.at = static_cast<char*>(block) + size;
  }
  chunk_of(block)->live[run_of(block)]++;
  return block;
}

// What `map` returns, which may need memory that lies idle here. Null if there is none.
template <typename Map>
void* map_or_reclaim(Map map) {
  void* mapping = map();
  if (mapping == nullptr || mapping == MAP_FAILED) {
    reclaim();
    mapping = map();
  }
  return mapping != MAP_FAILED ? mapping : nullptr;
}

void* allocate_mapping(size_t size) {
  size = round_up(size, kMappingUnit);
  for (Mapping& kept : heap.kept) {
    if (kept.size < size) continue;
    char* const at = static_cast<char*>(kept.at);
    if (kept.size > size) munmap(at + size, kept.size - size);
    kept = {};
    return at;
  }
  return map_or_reclaim([=] { return map(size); });
}

void free_mapping(void* block, size_t size) {
  size = round_up(size, kMappingUnit);
  Mapping mapping = {block, size};
  if (size <= kLargestKept) {
    mapping = heap.kept[heap.next_kept];
    heap.kept[heap.next_kept] = {block, size};
    heap.next_kept = (heap.next_kept + 1) % kKept;
  }
  if (mapping.size > 0) munmap(mapping.at, mapping.size);
}

void* allocate_block(size_t size) {
  if (size <= kSmall) return allocate_small(size);
  if (size > kLargest) return allocate_mapping(size);
  return find_or_add([size] { return find_pages(round_up(size, kPage) / kPage); });
}

// When as much has been freed as all that is mapped, twice, a reclaim() costs little beside it.
void count_freed(size_t size) {
  heap.freed += size;
  if (heap.freed / 2 >= heap.mapped + kReclaimAtLeast) reclaim();
}

// Lua takes it that a block can always shrink (manual of 5.3, lua_Alloc). Where there is no memory to move it
// to, it stays where it is. In a chunk that only wastes what is behind it; a mapping must be known again when
// Lua frees it as something smaller. Null if there are too many of those.
void* shrink_in_place(void* block, size_t old_size) {
  if (old_size <= kLargest) return block;
  for (Mapping& shrunk : heap.shrunk) {
    if (shrunk.size > 0) continue;
    shrunk = {block, old_size};
    heap.shrunken++;
    return block;
  }
  return nullptr;
}

// Whether a block of chunk size is such a mapping: then `size` becomes what it had.
bool was_mapping(void* block, size_t& size) {
  for (Mapping& shrunk : heap.shrunk) {
    if (shrunk.size == 0 || shrunk.at != block) continue;
    size = shrunk.size;
    shrunk = {};
    heap.shrunken--;
    return true;
  }
  return false;
}

void free_block(void* block, size_t size) {
  if (size > kLargest || (heap.shrunken > 0 && was_mapping(block, size))) return free_mapping(block, size);
  Chunk* chunk = chunk_of(block);
  if (chunk->sealed) return;
  if (size > kSmall) {
    const size_t count = round_up(size, kPage) / kPage;
    chunk->used &= ~(((uint64_t{1} << count) - 1) << page_of(block));
    if (!chunk->listed) list_with_room(chunk);
    count_freed(count * kPage);
    return;
  }
  size = round_up_small(size);
  chunk->live[run_of(block)]--;
  push_free(block, size);
  count_freed(size);
}

// Where a resized block need not move.
bool fits_in_place(size_t old_size, size_t new_size) {
  if (old_size > kLargest || new_size > kLargest) return false;
  if ((old_size > kSmall) != (new_size > kSmall)) return false;
  if (old_size <= kSmall) return round_up_small(old_size) == round_up_small(new_size);
  return round_up(old_size, kPage) == round_up(new_size, kPage);
}

void* resize(void* block, size_t old_size, size_t new_size) {
  if (fits_in_place(old_size, new_size)) return block;
  if (old_size > kLargest && new_size > kLargest) {
    return map_or_reclaim([=] {
      return mremap(block, round_up(old_size, kMappingUnit), round_up(new_size, kMappingUnit), MREMAP_MAYMOVE);
    });
  }
  void* moved = allocate_block(new_size);
  if (moved == nullptr) return new_size < old_size ? shrink_in_place(block, old_size) : nullptr;
  memcpy(moved, block, old_size < new_size ? old_size : new_size);
  free_block(block, old_size);
  return moved;
}

bool is_ours(const Chunk* chunk) {
  for (const Chunk* it = heap.chunks; it != nullptr; it = it->next) {
    if (it == chunk) return true;
  }
  return false;
}

// Makes huge pages of the parts of the heap that fill them: fork copies one entry for each instead of 512.
// Whether a machine has such pages, and Linux 6.1 or later, is for the kernel to know.
void collapse() {
  constexpr size_t kHugePage = 2 << 20;
  for (Chunk* chunk = heap.chunks; chunk != nullptr; chunk = chunk->next) {
    char* const at = reinterpret_cast<char*>(chunk);
    if (reinterpret_cast<uintptr_t>(at) % kHugePage != 0) continue;
    bool whole = true;
    for (size_t next = kChunk; next < kHugePage && whole; next += kChunk)
      whole = is_ours(reinterpret_cast<Chunk*>(at + next));
    if (whole) madvise(at, kHugePage, MADV_COLLAPSE);
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

void seal() {
  drop_kept_mappings();
  for (Chunk* chunk = heap.chunks; chunk != nullptr; chunk = chunk->next) chunk->sealed = true;
  collapse();
  Heap sealed = {};
  sealed.fresh = heap.fresh != nullptr ? heap.fresh : map_chunk();
  memcpy(sealed.shrunk, heap.shrunk, sizeof sealed.shrunk);
  sealed.shrunken = heap.shrunken;
  heap = sealed;
}

void prefault() {
  if (heap.fresh != nullptr) madvise(heap.fresh, kFirstPages * kPage, MADV_POPULATE_WRITE);
}

}  // namespace moonlet::heap
