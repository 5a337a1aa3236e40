// Goes on with the warm-up of an image, so that another can be frozen on top of it (docs/layers.md).
#pragma once

#include "image/enter.h"

#include <stdint.h>

namespace moonlet::image {

/// Thaws the image at `base` (writable memory) as a launch does, questions and all, but into an address space
/// as start() (image/start.h) makes one: with a stack of its own, which is not frozen, no brk(2), no vdso in
/// the auxiliary vector, and all that is mapped from then on close to the image. `stack`: the address of argc,
/// as the kernel left it. `argv`: the end of its argv that the image gets to read, of which argv[0] becomes the
/// program's name. Returns only why that cannot be.
Doubt resume(char* base, const Expected& expected, char** argv, uintptr_t stack);

}  // namespace moonlet::image
