// Which pages a launch writes to: found by one that does what any script does, so that each launch has them
// copied in a few calls, and not by a fault for each.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// Pages that a rehearsal may tell of.
constexpr size_t kMostWritten = 512;

/// In a launch of the image at `path`, at its end: writes the addresses of the pages that differ from the image
/// to the descriptor `fd`. Nothing is written if the image cannot be read.
void tell_written_pages(const char* path, int fd);

/// Makes the image in the open file `fd` ask for copies of `count` pages at `address`, which ascend. Returns
/// null, or what failed, with errno.
const char* populate_written_pages(int fd, const uintptr_t* address, size_t count);

}  // namespace moonlet::image
