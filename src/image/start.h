// Starts the program that freezes itself, where it can: execve(2) puts a program anywhere, and gives it the
// kernel's clock page.
#pragma once

#include "image/enter.h"

#include <stdint.h>

namespace moonlet::image {

/// Becomes the dynamically linked program at `path`, with the stack that the kernel made at `stack` (the
/// address of argc): a program that lies within a window (image/window.h), with its loader, its libraries, its
/// stack and all that it maps; whose heap cannot use brk(2); whose auxiliary vector names no vdso; and whose
/// libraries are bound at once. Its environment begins with kBindNow, for it to remove. Returns only why that
/// cannot be.
Doubt start(const char* path, uintptr_t stack);

constexpr char kBindNow[] = "LD_BIND_NOW=moonlet";

}  // namespace moonlet::image
