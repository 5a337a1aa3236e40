#include "zygote/descriptors.h"

#include "base/kernel.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

struct Kept {
  int first;
  const int* list;
  int count;

  [[nodiscard]] bool has(int descriptor) const {
    for (int i = 0; i < count; i++) {
      if (list[i] == descriptor) return true;
    }
    return false;
  }

  // The lowest that is at least `from`, or -1.
  [[nodiscard]] int next(int from) const {
    int found = -1;
    for (int i = 0; i < count; i++) {
      if (list[i] >= from && (found < 0 || list[i] < found)) found = list[i];
    }
    return found;
  }
};

void close_unless_kept(int descriptor, void* kept) {
  const auto* all = static_cast<Kept*>(kept);
  if (descriptor >= all->first && !all->has(descriptor)) close(descriptor);
}

void close_one_by_one(Kept kept) {
  if (for_each_descriptor(close_unless_kept, &kept)) return;
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int i = kept.first; i < static_cast<int>(limit.rlim_cur); i++) close_unless_kept(i, &kept);
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

bool for_each_descriptor(void (*each)(int descriptor, void* context), void* context) {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return false;
  while (const dirent* entry = readdir(directory)) {
    const int descriptor = static_cast<int>(strtol(entry->d_name, nullptr, 10));
    if (entry->d_name[0] != '.' && descriptor != dirfd(directory)) each(descriptor, context);
  }
  closedir(directory);
  return true;
}

}  // namespace moonlet::zygote
