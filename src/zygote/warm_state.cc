#include "zygote/warm_state.h"

#include "zygote/become.h"
#include "zygote/descriptors.h"
#include "zygote/log.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

// Descriptors from 1024 up are not told apart: who passes so many to a daemon passes them on purpose.
constexpr int kKnown = 1024;
bool was_open[kKnown];

void remember(int descriptor, void*) {
  if (descriptor < kKnown) was_open[descriptor] = true;
}

void keep_if_new(int descriptor, void*) {
  if (descriptor >= kKnown || was_open[descriptor]) return;
  char link[40];
  char target[256];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, target, sizeof target - 1);
  target[length > 0 ? length : 0] = '\0';
  // Its offset and its flags are one for all children, whatever each of them does with it.
  log_line("the warm-up left descriptor %d open (%s): every script shares it", descriptor, target);
  keep_in_children(descriptor);
}

// Names of all threads but the first, or "".
void name_threads(char* names, size_t size) {
  names[0] = '\0';
  DIR* directory = opendir("/proc/self/task");
  if (directory == nullptr) return;
  size_t used = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.' || strtol(entry->d_name, nullptr, 10) == getpid()) continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", entry->d_name);
    char comm[17] = "?";
    if (FILE* file = fopen(path, "re")) {
      if (fgets(comm, sizeof comm, file) != nullptr) comm[strcspn(comm, "\n")] = '\0';
      fclose(file);
    }
    const int wrote =
        snprintf(names + used, size - used, "%s%s (%.20s)", used > 0 ? ", " : "", comm, entry->d_name);
    if (wrote > 0 && used + static_cast<size_t>(wrote) < size) used += static_cast<size_t>(wrote);
  }
  closedir(directory);
}

}  // namespace

WarmState::WarmState() { for_each_descriptor(remember, nullptr); }

void WarmState::check() const {
  char names[512];
  name_threads(names, sizeof names);
  if (names[0] != '\0') {
    fail("the warm-up left threads running, which a fork would lose: %s", names);
  }
  for_each_descriptor(keep_if_new, nullptr);
}

}  // namespace moonlet::zygote
