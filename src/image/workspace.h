// What a freeze works with while it reads this process' pages: all in one mapping, which is no part of what is
// frozen.
#pragma once

#include "image/format.h"
#include "image/freeze.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// Pages one behind the other that differ from those of their file, or do not (image/comparison.h).
struct Run {
  uintptr_t from;
  uintptr_t to;
  bool differs;
  bool is_own;           // they become the image's
  uint32_t words;        // that it takes to patch them
  uint32_t undisturbed;  // of them, what no launch of the image below writes to
  uint32_t filled;       // of them, what is not zero
};

struct Workspace {
  static constexpr size_t kMapsText = 1 << 20;  // bytes
  static constexpr size_t kPage = 64 << 10;     // bytes: the largest page of any machine
  static constexpr uint32_t kMostRuns = 4096;   // in one mapping

  /// Null, with errno, if there is no memory. `content` and `frozen` have to stay.
  static Workspace* create(const Content& content, Frozen& frozen);

  /// Notes why there can be no image. The first reason counts.
  [[gnu::format(printf, 2, 3)]] void fail(const char* text, ...);
  [[nodiscard]] bool failed() const { return frozen->problem[0] != '\0'; }

  /// Whether a page of this process, at `at`, is all zero.
  [[nodiscard]] bool is_zero(uintptr_t at) const;
  [[nodiscard]] uint64_t round_up(uint64_t size) const {
    return (size + page_size - 1) & ~uint64_t{page_size - 1};
  }

  const Content* content;
  Frozen* frozen;
  size_t page_size;  // bytes

  // What the image will consist of.
  uint32_t segments;
  uint32_t files;
  uint32_t patches;  // words
  uint32_t growable_blocks;
  Segment segment[kMaxSegments];
  struct File {
    uint64_t identity;
    const char* path;  // in `maps`
    int fd;
    bool is_image;
  } file[kMaxFiles];
  uint64_t patch[kMostPatches];
  uintptr_t growable[kMaxSegments];  // addresses

  // Room.
  char maps[kMapsText];
  char smaps[kMapsText];  // "" where the kernel has none
  char tables[kMaxTables];
  char page[kPage];  // of a file
  char own[kPage];   // of this process
  Run run[kMostRuns];
};

}  // namespace moonlet::image
