// The auxiliary vector (getauxval(3)), as execve(2) leaves it behind the environment.
#pragma once

#include <stddef.h>
#include <sys/auxv.h>

namespace moonlet::image {

struct AuxiliaryEntry {
  unsigned long type;  // AT_NULL at the end
  unsigned long value;
};

// Those that libcs' headers lack (linux/auxvec.h).
constexpr unsigned long kBasePlatform = 24;     // AT_BASE_PLATFORM
constexpr unsigned long kSignalFrameSize = 51;  // AT_MINSIGSTKSZ, Linux 5.14
constexpr size_t kRandomBytes = 16;             // that AT_RANDOM leads to

/// The vector behind `envp`, the environment as the kernel made it.
inline AuxiliaryEntry* auxiliary_behind(char** envp) {
  while (*envp != nullptr) envp++;
  return reinterpret_cast<AuxiliaryEntry*>(envp + 1);
}

/// The entry of that type, or null.
template <typename Entry>
Entry* find_entry(Entry* vector, unsigned long type) {
  for (; vector->type != AT_NULL; vector++) {
    if (vector->type == type) return vector;
  }
  return nullptr;
}

}  // namespace moonlet::image
