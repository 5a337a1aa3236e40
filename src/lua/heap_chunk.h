// Chunks: what the sealed heap takes from the kernel, and fills with small blocks.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::heap {

constexpr size_t kRun = 4 << 10;         // bytes
constexpr size_t kRuns = 64;             // in a chunk
constexpr size_t kChunk = kRuns * kRun;  // bytes, and its alignment

/// At the beginning of a chunk, in front of its first run.
struct Chunk {
  Chunk* next;
  bool sealed;           // nothing here is handed out or taken back any more
  uint16_t live[kRuns];  // by run: 0 if it is unused, else one more than the blocks in use
};

/// `unit`: a power of two.
constexpr size_t round_up(size_t size, size_t unit) { return (size + unit - 1) & ~(unit - 1); }

/// The chunk that `block` lies in, and the index of its run there.
inline Chunk* chunk_of(void* block) {
  return reinterpret_cast<Chunk*>(reinterpret_cast<uintptr_t>(block) & ~(kChunk - 1));
}
inline size_t run_of(void* block) { return (reinterpret_cast<uintptr_t>(block) & (kChunk - 1)) / kRun; }

/// Maps a chunk, all zeroes, and writes nothing to it. Null where the kernel gives no memory.
Chunk* map_chunk();

/// Before blocks of `chunk` hold pointers: tells LeakSanitizer, which looks into no mapping that it does not
/// know.
void has_pointers(Chunk* chunk);

/// Gives `chunk`, which has_pointers() has had, to the kernel.
void unmap_chunk(Chunk* chunk);

/// Makes huge pages of the chunks in the list that fill them: fork copies one entry for each instead of 512.
/// Whether a machine has such pages, and Linux 6.1 or later, is for the kernel to know.
void collapse(Chunk* list);

}  // namespace moonlet::heap
