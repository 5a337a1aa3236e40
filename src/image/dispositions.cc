#include "image/dispositions.h"

#include "base/kernel.h"
#include "base/layout.h"

#include <string.h>

namespace moonlet::image {

namespace {

// The kernel's own, so that the signals which libc hides are seen, and its return trampolines come along.
MOONLET_LARGE kernel::SignalAction before[kernel::kLastSignal + 1];

struct Kept {
  int signal;
  kernel::SignalAction action;
};
MOONLET_LARGE Kept kept[kernel::kLastSignal];
int count = 0;

long look(int signal, kernel::SignalAction& action) {
  return syscall(SYS_rt_sigaction, signal, nullptr, &action, kernel::kSignalSetBytes);
}

}  // namespace

void remember_dispositions() {
  for (int signal = 1; signal <= kernel::kLastSignal; signal++) look(signal, before[signal]);
}

void keep_dispositions() {
  count = 0;
  for (int signal = 1; signal <= kernel::kLastSignal; signal++) {
    kernel::SignalAction now = {};
    if (look(signal, now) != 0 || memcmp(&now, &before[signal], sizeof now) == 0) continue;
    kept[count++] = {signal, now};
  }
#if defined(MOONLET_LAYERS)
  memset(before, 0, sizeof before);  // or an image on this one would hold another one's
#endif
}

void restore_dispositions() {
  for (int i = 0; i < count; i++)
    syscall(SYS_rt_sigaction, kept[i].signal, &kept[i].action, nullptr, kernel::kSignalSetBytes);
}

}  // namespace moonlet::image
