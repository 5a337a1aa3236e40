// Which of this process' pages an image holds, and which are mapped from the files that they came from: the
// table of segments. docs/image.md, "The file".
#pragma once

#include "image/format.h"
#include "image/freeze.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

constexpr size_t kMapsText = 1 << 20;  // bytes
constexpr size_t kChunk = 64 << 10;    // bytes of a file that are compared at once: the largest page, at least

/// A library, the program, or an image below, that segments come from.
struct OpenFile {
  uint64_t identity;
  uint32_t sample;   // MappedFile::sample
  const char* path;  // in Workspace::maps
  int fd;
};

/// Pages one behind the other that differ from those of an image below, or do not (image/comparison.h).
struct Run {
  uintptr_t from;
  uintptr_t to;
  bool differs;
  bool is_own;           // they become the image's
  uint32_t words;        // that it takes to patch them
  uint32_t undisturbed;  // how many no launch of the image below writes to
  uint32_t filled;       // how many are not zero
};

/// All that is needed while pages are read. It lies in one mapping, which is no part of what is frozen.
struct Workspace {
  char maps[kMapsText];
  char smaps[kMapsText];  // "" where the kernel has none
  char tables[kMaxTables];
  char chunk[kChunk];
  Segment segment[kMaxSegments];
  uintptr_t growable[kMaxSegments];  // addresses: each a page that gets a kBorder
  OpenFile file[kMaxFiles];
#if defined(MOONLET_LAYERS)
  static constexpr uint32_t kMostRuns = 4096;  // in one mapping
  Run run[kMostRuns];
  uint64_t patch[kMostPatches];
#endif
  uint32_t patches;  // words
  uint32_t segments;
  uint32_t growables;
  uint32_t files;
};

/// Whether the `size` bytes at `page`, a multiple of words, are zero.
bool is_zero(uintptr_t page, size_t size);

/// Reads /proc/self/maps, fills in segments, growable pages, files and patches, and tells frozen.problem what
/// cannot be frozen. Segments of the image have no offset yet. `page`: the size of one, in bytes.
void find_segments(Workspace& work, const Content& content, size_t page, Frozen& frozen);

}  // namespace moonlet::image
