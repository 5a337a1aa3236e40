// The heap of the warm state: what lua_Alloc takes its memory from. After the seal it never again writes to
// a page that was there before, so that the pages of the warm-up stay shared between all launches of an
// image. There is one heap in a process.
#pragma once

#include <stddef.h>
#include <stdint.h>

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
void seal();

#if defined(MOONLET_LAYERS)
/// After a seal, in a warm-up that goes on: up to the next seal large blocks that were sealed are left as they
/// are too when they are freed, or else they would be handed out again. `was_sealed`: whether an address was
/// there at the seal.
void hold_sealed(bool (*was_sealed)(uintptr_t address));

struct Dropped {
  uintptr_t at;
  size_t size;  // bytes
};
constexpr int kMostDropped = 4096;

/// Fills in the blocks that were sealed and have been freed since hold_sealed(), as many as fit, and forgets
/// them. Nothing will ever use that memory. Returns how many they are.
int take_dropped(Dropped (&all)[kMostDropped]);
#endif

}  // namespace moonlet::heap
