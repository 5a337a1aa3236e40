#include "lua/time_zone.h"

#include "lua/variable.h"

#include <time.h>

namespace moonlet::time_zone {

#if defined(__GLIBC__)

namespace {
RememberedVariable zone;
}

void seal() { zone.remember("TZ"); }

void thaw() {
  if (!zone.is_as_before("TZ")) tzset();
}

#else

void seal() {}
void thaw() {}

#endif

}  // namespace moonlet::time_zone
