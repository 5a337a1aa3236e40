// Where images lie. A launch maps an image at the addresses that it was frozen at, beside its own program,
// stack and whatever the kernel puts where it likes. So an image lies where the kernel puts nothing: above the
// program and the heap behind it, below the lowest address from which any layout hands out mappings (a third of
// the address space, a quarter on aarch64).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// Bytes: tables of pages cover as much, so that what lies within one such block costs one table.
constexpr uintptr_t kTableReach = 2 << 20;

#if UINTPTR_MAX > UINT32_MAX
/// The lowest and the highest end of a window; also with the 39 bits of small aarch64 kernels.
constexpr uintptr_t kLowestEnd = uintptr_t{8} << 30;
constexpr uintptr_t kHighestEnd = uintptr_t{31} << 30;
#else
constexpr uintptr_t kLowestEnd = uintptr_t{384} << 20;
constexpr uintptr_t kHighestEnd = uintptr_t{680} << 20;
#endif

/// Bytes below the end of a window in which libraries come to lie; the stack of the warm-up is below that.
constexpr uintptr_t kRoomForLibraries = 3 * kTableReach;
constexpr uintptr_t kStackSize = 8 << 20;  // bytes
/// Bytes of a window: what a warm-up takes of memory may be as much, less the above.
constexpr uintptr_t kWindowBytes = UINTPTR_MAX > UINT32_MAX ? uintptr_t{4} << 30 : uintptr_t{128} << 20;

/// Whether an address may belong to an image.
constexpr bool is_in_window(uintptr_t from, uintptr_t to) {
  return from < to && from >= kLowestEnd - kWindowBytes && to <= kHighestEnd;
}

}  // namespace moonlet::image
