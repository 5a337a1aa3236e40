// Goes on with the warm-up of an image, so that another one can be frozen on top of it (docs/layers.md).
#pragma once

#include "image/enter.h"

#include <stdint.h>

namespace moonlet::image {

/// What the image gets then instead of a Launch alone.
struct Resumption : Launch {
  Tables base;       // of the image itself, mapped
  Range stack_room;  // that the stack lies in: no part of what is frozen
};

/// Thaws the image at `base` (writable memory) as a launch does, questions and all, but into an address space
/// as start() (image/start.h) makes one: with a stack of its own, no brk(2), no vdso in the auxiliary vector,
/// and all that is mapped from then on close to the image. `argv`: moonlet-lua's (freeze/options.h). `stack`:
/// the address of argc, as the kernel left it. Returns only why that cannot be.
Doubt resume(char* base, const Expected& expected, char** argv, uintptr_t stack);

}  // namespace moonlet::image
