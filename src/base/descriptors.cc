#include "base/descriptors.h"

#include "base/kernel.h"
#include "base/unique_fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

namespace moonlet {

namespace {

struct Kept {
  int first;
  const int* list;
  int count;

  // The lowest that is at least `from`, or -1.
  [[nodiscard]] int next(int from) const {
    int found = -1;
    for (int i = 0; i < count; i++) {
      if (list[i] >= from && (found < 0 || list[i] < found)) found = list[i];
    }
    return found;
  }
};

void close_unless_kept(int descriptor, const Kept& kept) {
  if (descriptor >= kept.first && kept.next(descriptor) != descriptor) close(descriptor);
}

void close_one_by_one(const Kept& kept) {
  if (DIR* const directory = opendir("/proc/self/fd")) {
    while (const dirent* entry = readdir(directory)) {
      const int number = static_cast<int>(strtol(entry->d_name, nullptr, 10));
      if (entry->d_name[0] != '.' && number != dirfd(directory)) close_unless_kept(number, kept);
    }
    closedir(directory);
    return;
  }
  kernel::Limit limit = {};
  kernel::limit(RLIMIT_NOFILE, nullptr, &limit);
  for (int i = kept.first; i < static_cast<int>(limit.soft); i++) close_unless_kept(i, kept);
}

}  // namespace

void close_all_but(int first, const int* kept_list, int count) {
  const Kept kept = {first, kept_list, count};
  auto from = static_cast<unsigned>(first);
  for (;;) {
    const int next = kept.next(static_cast<int>(from));
    const unsigned last = next < 0 ? ~0U : static_cast<unsigned>(next) - 1;
    if (next != static_cast<int>(from) && kernel::close_range(from, last) != 0) return close_one_by_one(kept);
    if (next < 0) return;
    from = static_cast<unsigned>(next) + 1;
  }
}

void open_standard_descriptors() {
  int fd = STDIN_FILENO;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) close(fd);
}

void read_text(const char* path, char* text, size_t size) {
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t length = read(file.get(), text, size - 1);
  text[length > 0 ? length : 0] = '\0';
}

}  // namespace moonlet
