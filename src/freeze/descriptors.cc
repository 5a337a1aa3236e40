#include "freeze/descriptors.h"

#include "base/layout.h"
#include "freeze/leftovers.h"
#include "image/answer.h"
#include "image/complain.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

constexpr int kKnown = 1024;  // those above have no owner that can be named
constexpr const char* kDirectory = "/proc/self/fd";

// Which file a descriptor is of.
struct File {
  uint32_t major, minor;
  uint64_t inode;
  bool operator==(const File&) const = default;
};

MOONLET_LARGE File file_of[kKnown];       // before the warm-up: no inode is 0
int count_above = 0;                      // of those from kKnown on, before the warm-up
MOONLET_LARGE const char* owner[kKnown];  // the module that has opened it
MOONLET_LARGE bool is_noted[kKnown];

template <typename Function>
void for_each_descriptor(const Function& function) {
  DIR* const directory = opendir(kDirectory);
  if (directory == nullptr) return;
  while (const dirent* const entry = readdir(directory)) {
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(directory)) function(fd);
  }
  closedir(directory);
}

File look_at(int fd) {
  image::FileStatus status;
  if (image::look(fd, "", image::Follow::kYes, &status) != 0) return {};
  return {status.device[0], status.device[1], status.inode};
}

bool is_new(int fd) { return fd < kKnown && look_at(fd) != file_of[fd]; }

int complain(int fd, const char* what) {
  char link[40];
  char target[PATH_MAX];
  snprintf(link, sizeof link, "%s/%d", kDirectory, fd);
  const ssize_t length = readlink(link, target, sizeof target - 1);
  target[length > 0 ? length : 0] = '\0';
  const char* const its = fd < kKnown ? owner[fd] : nullptr;
  if (observe_leaver != nullptr) observe_leaver(its);
  return image::complain("%s%s left descriptor %d %s: %s", its != nullptr ? "module " : "the script",
                         its != nullptr ? its : "", fd, what, target);
}

}  // namespace

void remember_descriptors() {
  for_each_descriptor([](int fd) {
    if (fd < kKnown) {
      file_of[fd] = look_at(fd);
    } else {
      count_above++;
    }
  });
}

void note_descriptors(const char* name) {
  constexpr int kAtOnce = 128;
  for (int first = STDERR_FILENO + 1; first < kKnown; first += kAtOnce) {
    pollfd all[kAtOnce];
    const int count = first + kAtOnce < kKnown ? kAtOnce : kKnown - first;
    for (int i = 0; i < count; i++) all[i] = {first + i, 0, 0};
    if (poll(all, static_cast<nfds_t>(count), 0) < 0) return;
    bool are_any = false;
    for (int i = 0; i < count; i++) {
      const int fd = first + i;
      const bool is_open = (all[i].revents & POLLNVAL) == 0;
      are_any |= is_open;
      const bool is_its = is_open && is_new(fd);
      if (is_its && !is_noted[fd]) owner[fd] = name;
      is_noted[fd] = is_its;
    }
    if (!are_any) return;  // the kernel takes the lowest that is free
  }
}

int complain_of_descriptors() {
  int count = 0;
  int above = 0;
  int last = 0;
  for_each_descriptor([&](int fd) {
    if (fd >= kKnown) {
      above++;
      if (fd > last) last = fd;
    }
    if (!is_new(fd)) return;
    count += complain(fd, file_of[fd] == File{} ? "open" : "open in the place of another");
  });
  if (above > count_above) count += complain(last, "open");
#if defined(MOONLET_LAYERS)
  // What is known of them would lie in the image, and be wrong where a warm-up goes on from there.
  memset(file_of, 0, sizeof file_of);
  memset(owner, 0, sizeof owner);
  memset(is_noted, 0, sizeof is_noted);
  count_above = 0;
#endif
  return count;
}

}  // namespace moonlet::freeze
