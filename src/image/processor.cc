// Which processor this is, for code that was chosen for it (ifunc, libcrypto, LuaJIT) and lies in an image.

#include "image/answer.h"

#include <string.h>
#include <sys/auxv.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace moonlet::image {

#if defined(__x86_64__)
namespace {

// The states that the kernel saves for a process: AVX, AVX-512, AMX. AT_HWCAP tells of none of them, and CPUID
// costs 6 us in a virtual machine. XGETBV does not exist where the kernel uses no XSAVE: `frame`, its
// AT_MINSIGSTKSZ (Linux 5.14), tells, which then has 1500 bytes at most.
uint64_t states_saved(unsigned long frame) {
  constexpr unsigned long kLargestWithoutXsave = 1600;
  if (frame == 0) {
    unsigned a, b, c = 0, d;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) return 0;
  } else if (frame <= kLargestWithoutXsave) {
    return 0;
  }
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low | uint64_t{high} << 32;
}

}  // namespace
#endif

uint64_t hash_processor(const AuxiliaryEntry* auxiliary) {
  constexpr unsigned long kMoreCapabilities = 26, kCapabilities3 = 29,
                          kCapabilities4 = 30;  // AT_HWCAP2, AT_HWCAP3, AT_HWCAP4
  uint64_t hash = 0;
#if defined(__x86_64__)
  unsigned long frame = 0;
#endif
  for (; auxiliary->type != AT_NULL; auxiliary++) {
    switch (auxiliary->type) {
      case kSignalFrameSize:
#if defined(__x86_64__)
        frame = auxiliary->value;
#endif
        [[fallthrough]];
      case AT_HWCAP:
      case AT_PAGESZ:
      case kMoreCapabilities:
      case kCapabilities3:
      case kCapabilities4:
        hash = mix(mix(hash, auxiliary->type), auxiliary->value);
        break;
      case AT_PLATFORM:
      case kBasePlatform: {
        const char* name = reinterpret_cast<const char*>(auxiliary->value);
        if (name != nullptr) hash = hash_bytes(mix(hash, auxiliary->type), name, strlen(name));
        break;
      }
      default:
        break;
    }
  }
#if defined(__x86_64__)
  hash = mix(hash, states_saved(frame));
#endif
  return hash;
}

}  // namespace moonlet::image
