// Which processor an image was made for: libcs choose among their functions at the start.
#pragma once

#include "image/format.h"
#include "image/launch.h"

#include <stdint.h>
#include <sys/auxv.h>

namespace moonlet::image {

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/// Of what the kernel has told the process with the auxiliary vector `vector` (glibc's getauxval(3) tells
/// something else).
inline uint64_t hash_processor(const AuxiliaryEntry* vector) {
  constexpr unsigned long kTold[] = {AT_HWCAP, AT_HWCAP2, AT_MINSIGSTKSZ, AT_CLKTCK};
  uint64_t hash = 1;
  for (; vector->type != AT_NULL; vector++) {
    for (const unsigned long type : kTold) {
      if (vector->type == type) hash = mix(mix(hash, type), vector->value);
    }
  }
  return hash;
}

}  // namespace moonlet::image
