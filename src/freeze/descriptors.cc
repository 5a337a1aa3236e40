#include "freeze/descriptors.h"

#include "base/layout.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

constexpr int kKnown = 1024;  // those above have no owner that can be named
constexpr const char* kDirectory = "/proc/self/fd";

// Which file a descriptor is of.
struct File {
  dev_t device;
  ino_t inode;
  bool operator==(const File&) const = default;
};

MOONLET_LARGE File file_of[kKnown];    // before the warm-up: no inode is 0
int count_above = 0;                   // of those from kKnown on, before the warm-up
MOONLET_LARGE char owner[kKnown][48];  // the module after which a descriptor was there

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
  struct stat status;
  if (fstat(fd, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

bool is_new(int fd) { return fd < kKnown && look_at(fd) != file_of[fd]; }

void complain(int fd, const char* what) {
  char link[40];
  char target[PATH_MAX];
  snprintf(link, sizeof link, "%s/%d", kDirectory, fd);
  const ssize_t length = readlink(link, target, sizeof target - 1);
  target[length > 0 ? length : 0] = '\0';
  const char* const its = fd < kKnown ? owner[fd] : "";
  fprintf(stderr, "moonlet: freeze: %s%s left descriptor %d %s: %s\n", *its != '\0' ? "module " : "the script",
          its, fd, what, target);
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
  for_each_descriptor([name](int fd) {
    if (is_new(fd) && owner[fd][0] == '\0') snprintf(owner[fd], sizeof owner[fd], "%s", name);
  });
}

int count_new_descriptors() {
  int count = 0;
  int above = 0;
  for_each_descriptor([&](int fd) {
    if (fd >= kKnown) above++;
    if (is_new(fd)) count++;
  });
  return above > count_above ? count + above - count_above : count;
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
    complain(fd, file_of[fd] == File{} ? "open" : "open in the place of another");
    count++;
  });
  if (above > count_above) {
    complain(last, "open");
    count++;
  }
  // What is known of them would lie in the image.
  memset(file_of, 0, sizeof file_of);
  memset(owner, 0, sizeof owner);
  count_above = 0;
  return count;
}

}  // namespace moonlet::freeze
