#include "zygote/warm_state.h"

#include "base/layout.h"
#include "zygote/become.h"
#include "zygote/descriptors.h"
#include "zygote/log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

// Descriptors from 1024 up are not told apart: who passes so many to a daemon passes them on purpose.
constexpr int kKnown = 1024;
MOONLET_LARGE bool was_open[kKnown];

void remember(int descriptor, void*) {
  if (descriptor < kKnown) was_open[descriptor] = true;
}

void keep_if_new(int descriptor, void*) {
  if (descriptor >= kKnown || was_open[descriptor]) return;
  char link[40];
  char target[256];
  snprintf(link, sizeof link, "%s/%d", kOpenDescriptors, descriptor);
  const ssize_t length = readlink(link, target, sizeof target - 1);
  target[length > 0 ? length : 0] = '\0';
  // Its offset and its flags are one for all children, whatever each of them does with it.
  log_line("descriptor %d left open: %s", descriptor, target);
  keep_in_children(descriptor);
}

void close_if_new(int descriptor, void*) {
  if (descriptor < kKnown && !was_open[descriptor]) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

void refuse_thread(int thread, void* found) {
  if (thread == getpid()) return;
  char path[48];
  char name[32];
  snprintf(path, sizeof path, "/proc/%d/comm", thread);
  read_text(path, name, sizeof name);
  name[strcspn(name, "\n")] = '\0';
  log_line("the warm-up left a thread: %s (%d)", name, thread);
  *static_cast<bool*>(found) = true;
}

}  // namespace

WarmState::WarmState() { for_each_number(kOpenDescriptors, remember, nullptr); }

WarmState::WarmState(Start) {
  memset(was_open, 0, sizeof was_open);
  memset(was_open, 1, STDERR_FILENO + 1);
}

void WarmState::check() const {
  bool has_threads = false;
  for_each_number("/proc/self/task", refuse_thread, &has_threads);
  if (has_threads) exit(EXIT_FAILURE);
  for_each_number(kOpenDescriptors, keep_if_new, nullptr);
}

void close_in_next_image() { for_each_number(kOpenDescriptors, close_if_new, nullptr); }

}  // namespace moonlet::zygote
