#include "lua/heap_chunk.h"

#include "base/memory.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace moonlet::heap {

namespace {

void* map(size_t size) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at != MAP_FAILED ? at : nullptr;
}

}  // namespace

// The kernel puts one mapping below the other, so that usually the first attempt lies right.
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

void has_pointers([[maybe_unused]] Chunk* chunk) {
#ifdef __SANITIZE_ADDRESS__
  __lsan_register_root_region(chunk, kChunk);
#endif
}

void unmap_chunk(Chunk* chunk) {
#ifdef __SANITIZE_ADDRESS__
  __lsan_unregister_root_region(chunk, kChunk);
#endif
  munmap(chunk, kChunk);
}

#if UINTPTR_MAX > UINT32_MAX

namespace {

bool is_in(const Chunk* list, const Chunk* chunk) {
  for (; list != nullptr; list = list->next) {
    if (list == chunk) return true;
  }
  return false;
}

}  // namespace

void collapse(Chunk* list) {
  constexpr size_t kHugePage = 2 << 20;
  for (Chunk* chunk = list; chunk != nullptr; chunk = chunk->next) {
    char* const at = reinterpret_cast<char*>(chunk);
    if (reinterpret_cast<uintptr_t>(at) % kHugePage != 0) continue;
    bool whole = true;
    for (size_t next = kChunk; next < kHugePage && whole; next += kChunk)
      whole = is_in(list, reinterpret_cast<Chunk*>(at + next));
    if (whole) madvise(at, kHugePage, MADV_COLLAPSE);
  }
}

#else

// Machines of 32 bits have no huge pages, or none of that size.
void collapse(Chunk*) {}

#endif

}  // namespace moonlet::heap
