// Freezing this process into an image: which of its pages go into the file, which are mapped from the files
// that they came from, and the file itself. docs/image.md, "The file".
#pragma once

#include "image/launch.h"
#include "image/tables.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// What is frozen beside the pages.
struct Content {
  Entry entry;
  uint32_t lua;           // MOONLET_LUA_CODE
  uint32_t flags;         // Flag
  const char* questions;  // a multiple of 8 bytes; they are copied
  uint32_t questions_size;
  Range stack;            // what is not frozen of it
  uintptr_t frame;        // of main: the rest of the stack is zeroes below it; 0: there is no rest
  Range log;              // of the questions: it is not frozen either
  Tables base;            // of the image that this process was thawed from, if any: likewise
  const char* base_path;  // absolute, without links
  const Range* unused;    // memory of that image, of any size, that nobody uses any more
  size_t unused_count;
  const char* const* notes;  // null-terminated: names of modules, then of those that asked for the time
  uint32_t modules;          // how many the first are
  uint32_t heap;             // KiB, for the notes
};

/// What came of it.
struct Frozen {
  char problem[512];  // "": the image is written; else why not
  size_t size;        // bytes of the file that hold data
  unsigned segments;

  [[nodiscard]] bool has_failed() const { return problem[0] != '\0'; }
  [[gnu::format(printf, 2, 3)]] void fail(const char* format, ...);
};

/// What is not kept of the stack that start() (image/start.h) has made, with argc at `block`. The rest is the
/// frame of libc that has called main, to which glibc jumps where the main thread ends before others
/// (pthread_exit(3)), and room below it for what that calls.
Range unkept_stack(uintptr_t block);

/// Writes this process, which has one thread and nothing on its stack that is of later use, to the open file
/// `fd`, empty and writable. Reads /proc/self/maps. The environment and the arguments of this process are gone
/// afterwards.
void freeze(int fd, const Content& content, Frozen& frozen);

}  // namespace moonlet::image
