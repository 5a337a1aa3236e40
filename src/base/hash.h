// FNV-1a, 32 bits: short, and spreads names well. It resists nobody who chooses what is hashed.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet {

/// What a hash begins with.
constexpr uint32_t kHashBasis = 2166136261U;

/// The hash of what `so_far` is the hash of, and of `size` bytes at `data` behind that.
inline uint32_t hash(uint32_t so_far, const void* data, size_t size) {
  const auto* byte = static_cast<const unsigned char*>(data);
  while (size-- > 0) so_far = (so_far ^ *byte++) * 16777619U;
  return so_far;
}

}  // namespace moonlet
