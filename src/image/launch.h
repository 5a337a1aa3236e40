// What a launch hands to the image that it thaws: the one call across the jump.
#pragma once

#include "image/auxiliary.h"

#include <stdint.h>

namespace moonlet::image {

/// Addresses, from a page's to a page's.
struct Range {
  uintptr_t from;
  uintptr_t to;
};

/// Launch::argc where no script is run, but the warm-up goes on: a Resumption (image/resume.h).
constexpr int kResumes = -1;

/// Made by the program that maps the image. It lives, with that program's code, until the process ends.
struct Launch {
  int argc;     // 0: a rehearsal of the image at argv[0], which tells descriptor 3 what it has written to;
                // kResumes
  char** argv;  // as lua would have them: without moonlet's own options
  char** envp;  // the process' own, as the kernel made it
  AuxiliaryEntry* auxiliary;
  uintptr_t stack;  // where the kernel left the stack pointer: the address of argc

  /// Becomes lua, as long as nothing of the script has run. `reason`: why, for MOONLET_VERBOSE.
  void (*fall_back)(const char* reason);

  /// To be called when nothing leads back to lua any more, for MOONLET_VERBOSE; or null.
  void (*begin)();
};

/// Where an image begins: on the process' own stack, with nothing of libc usable but what needs no state. Never
/// returns.
using Entry = void (*)(const Launch*);

}  // namespace moonlet::image
