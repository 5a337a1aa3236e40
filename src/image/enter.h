// A launch's side of a thaw: from a path to the jump. It runs in the static program moonlet, without a libc.
#pragma once

#include "image/launch.h"
#include "image/tables.h"

namespace moonlet::image {

/// Why an image was not taken: "PATH: REASON". `path` is what the reason is about, null if it says so itself;
/// both live as long as the process.
struct Doubt {
  const char* path = nullptr;
  const char* reason = nullptr;  // null: `error` tells
  int error = 0;                 // errno, or 0

  explicit operator bool() const { return reason != nullptr || error != 0; }
};

/// A file that may be an image, open for reading.
struct Opened {
  int fd;
  bool is_handed = false;  // by moonletd, which answers for the directories that it lies in
  bool is_quiet = false;   // opened with O_NOATIME: that it was looked at leaves no trace, that it is used does
};

/// Looks whether `image`, which was opened at `path` (writable memory, put right), may be thawed, asks its
/// questions, maps it, closes it and jumps into it: then it does not return. If there is any doubt it returns
/// why; `image` is open, and nothing has happened but that some of the window may be mapped. `launch` must live
/// until the process ends.
Doubt enter(const Opened& image, char* path, const Expected& expected, const Launch& launch);

}  // namespace moonlet::image
