// Which of this process' pages an image holds, and which are mapped from the files that they came from: the
// table of segments. docs/image.md, "The file".
#pragma once

#include "image/format.h"
#include "image/freeze.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

constexpr size_t kMapsText = 1 << 20;  // bytes
constexpr size_t kChunk = 64 << 10;    // bytes of a file that are compared at once

/// A library, or the program, that segments come from.
struct OpenFile {
  uint64_t identity;
  uint32_t sample;   // MappedFile::sample
  const char* path;  // in Workspace::maps
  int fd;
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
  uint32_t segments;
  uint32_t growables;
  uint32_t files;
};

/// Whether the `size` bytes at `page`, a multiple of words, are zero.
bool is_zero(uintptr_t page, size_t size);

/// What is kept of the stack that this runs on begins there: the frame of libc that has called main, to which
/// glibc jumps where the main thread ends before others (pthread_exit(3)), and room below it for what that
/// calls.
uintptr_t kept_stack(const Content& content, size_t page);

/// Reads /proc/self/maps, fills in segments, growable pages and files, and tells frozen.problem what cannot be
/// frozen. Segments of the image have no offset yet. `page`: the size of one, in bytes.
void find_segments(Workspace& work, const Content& content, size_t page, Frozen& frozen);

}  // namespace moonlet::image
