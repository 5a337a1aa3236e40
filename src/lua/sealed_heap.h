// The heap of the warm state: what lua_Alloc takes its memory from. After the seal it never again writes to
// a page that was there before, so that the pages of the warm-up stay shared between the zygote and all its
// children. There is one heap in a process.
#pragma once

#include <stddef.h>

namespace moonlet::heap {

/// A lua_Alloc (manual, section "lua_Alloc"): frees `block` of `old_size` bytes where `new_size` is 0,
/// allocates where `block` is null, else resizes. Null where the kernel gives no memory, under whatever limits
/// this process has: `block` is then as it was. Blocks are aligned as malloc(3) would align one of their size.
/// `context` is not used.
void* allocate(void* context, void* block, size_t old_size, size_t new_size);

/// Before seal(): has it zero what is free, so that nothing which the warm-up has forgotten can be read in an
/// image.
void clear_at_seal();

/// From here on nothing that is free now is handed out, and what is freed of now's blocks is left as it is.
/// May be called again, in a child that becomes a zygote itself.
void seal();

/// In a child, before its script: backs the first fresh pages with memory in one call, not by one fault each.
/// A kernel without MADV_POPULATE_WRITE (5.14) leaves that to the faults.
void prefault();

}  // namespace moonlet::heap
