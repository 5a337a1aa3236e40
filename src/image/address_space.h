// What a process does to its own address space before a warm-up runs in it, so that all that the warm-up maps
// comes to lie within a window (image/window.h).
#pragma once

#include "image/auxiliary.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// What execve(2) has left at the stack pointer `stack`, the address of argc.
struct Stack {
  char** argv;
  char** envp;
  AuxiliaryEntry* auxiliary;
  size_t argc, envc, auxc;  // auxc: with the last entry

  explicit Stack(uintptr_t stack);
};

/// Before anything is mapped: sees to it that the kernel hands out addresses downwards. Where it does not, this
/// process executes itself anew, with the same arguments, for a moment without what makes it so, and puts that
/// back. `stack` loses the variable that tells of it.
void settle_layout(Stack& stack);

/// Takes all that is free above `end`, in pages of `page` bytes, so that what the kernel places by itself lies
/// below. False if it does not.
bool block_above(uintptr_t end, size_t page);

/// Takes what brk(2) would grow into. A heap in one piece with the program's would have to be put back there in
/// each launch: without brk(2) libcs map theirs. False if something lies there.
bool block_brk(size_t page);

}  // namespace moonlet::image
