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

/// Whether the time of access of an image shall be that of its last thaw, whatever the file system's habits
/// are.
enum class Use : bool { kNotNoted, kNoted };

/// An image that is mapped where it belongs.
struct Mapped {
  int image;         // its descriptor, open: the caller's to close
  Word tables_size;  // bytes
  Word entry;        // address of Entry
  Word thread_pointer;
};

/// Opens the image at `path` (writable memory), or takes it from the descriptor `given`, if that is not
/// negative: then it does not matter where the image lies, and `path` is but its name in a Doubt. Asks its
/// questions and maps it. If there is any doubt it returns why, and nothing has happened but that some of the
/// window may be mapped. `given` stays open in that case.
Doubt map(char* path, int given, Use use, const Expected& expected, const Launch& launch, Mapped& mapped);

#if defined(MOONLET_LAYERS)
/// Writes the words in which the pages of an image that is mapped differ from those of one below it. map() does
/// so.
void apply_patches(const Tables& tables);
#endif

/// Jumps into it, onto launch.stack. `launch` must live until the process ends. Returns only why that cannot
/// be.
Doubt jump_into(const Mapped& mapped, const char* path, const Launch& launch);

/// Both, for a launch: `given` is closed then.
Doubt enter(char* path, int given, Use use, const Expected& expected, const Launch& launch);

}  // namespace moonlet::image
