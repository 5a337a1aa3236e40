// System calls on memory that do in a private mapping of a file what they do not in memory of no file. A frozen
// heap is such a mapping, and whoever owns a piece of it must not notice.
#pragma once

#include <stdint.h>

namespace moonlet::image {

/// Before the pages are written: what lies in [from, to) is memory of no file now, and will be the image's.
void note_heap(uintptr_t from, uintptr_t to);

/// Whether the memory at `address` was such when an image was frozen, this one or one below it.
bool was_heap(uintptr_t address);

}  // namespace moonlet::image
