// Freezing this process into an image: which of its pages go into the file, which are mapped from the files
// that they came from, and the file itself. docs/image.md, "The file".
#pragma once

#include "image/launch.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// Addresses, from a page's to a page's.
struct Range {
  uintptr_t from;
  uintptr_t to;
};

/// What is frozen beside the pages.
struct Content {
  Entry entry;
  uint32_t lua;           // MOONLET_LUA_CODE
  uint32_t flags;         // Flag
  const char* questions;  // a multiple of 8 bytes; they are copied
  uint32_t questions_size;
  uintptr_t block;             // address of argc, at the end of the stack
  uintptr_t frame;             // of main: the stack below it is not frozen
  Range left_out;              // what else is not
  const char* const* modules;  // names, null-terminated
  uint32_t heap;               // KiB, for the notes
};

/// What came of it.
struct Frozen {
  char problem[512];  // "": the image is written; else why not
  size_t size;        // bytes of the file that hold data
  unsigned segments;

  [[nodiscard]] bool has_failed() const { return problem[0] != '\0'; }
  [[gnu::format(printf, 2, 3)]] void fail(const char* format, ...);
};

/// Writes this process, which has one thread and nothing on its stack that is of later use, to the open file
/// `fd`, empty and writable. Reads /proc/self/maps. The environment and the arguments of this process are gone
/// afterwards.
void freeze(int fd, const Content& content, Frozen& frozen);

}  // namespace moonlet::image
