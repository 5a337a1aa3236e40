// What a launch does with the questions of an image: asks them again, before it maps anything. Linked into the
// static client, without a libc. The questions are data from outside: what is malformed in any way counts as a
// difference.
#pragma once

#include "image/format.h"

#include <stdint.h>

namespace moonlet::image {

/// The first question that the world answers otherwise now.
struct Difference {
  const Question* question = nullptr;  // null: there is none
  const Question* base = nullptr;      // the kBase that its path is relative to, if any
};

/// Which questions are to be asked.
enum class Which : uint8_t {
  kAll,
  kNoFiles,   // those that are not about files
  kOfSystem,  // what is the same for all launches: files, contents in /proc and /sys, the host, the processors
};

/// Asks the `size` bytes of questions at `questions`, aligned to 8, in the process' own directory, with the
/// environment `envp`. Leaves no descriptor open. The result lies within `questions`, or is static.
Difference first_that_differs(const char* questions, uint32_t size, char** envp, Which which);

/// Says in words what differs ("COLORTERM differs from the image's"), shortened to `size` bytes with its zero,
/// at `words`.
void describe(const Difference& difference, char* words, uint32_t size);

}  // namespace moonlet::image
