#include "freeze/process_id.h"

#include "base/replaces.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

constexpr pid_t kNobody = 0x7ffffffe;  // above the largest, PID_MAX_LIMIT
bool hidden = true;

}  // namespace

void reveal_process_id() { hidden = false; }

}  // namespace moonlet::freeze

extern "C" MOONLET_EXPORTED pid_t MOONLET_REPLACES(getpid)() {
  return moonlet::freeze::hidden ? moonlet::freeze::kNobody : static_cast<pid_t>(syscall(SYS_getpid));
}
