#include "ctl/cache.h"

#include "ctl/fail.h"
#include "image/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

namespace moonlet::ctl {

namespace {

constexpr size_t kNameLength = image::CachePath::kNameLength;
constexpr char kImageEnding[] = "-N.image";
constexpr auto& kLogEnding = image::CachePath::kLogEnding;

bool begins_with_name(const char* entry) { return strspn(entry, "abcdefghijklmnop") == kNameLength; }

// The slot of the image that has such a name, or -1. What is behind the name is its end, or begins with `next`.
int slot_of(const char* entry, char next) {
  if (!begins_with_name(entry)) return -1;
  const char* const ending = entry + kNameLength;
  const int slot = ending[0] == '-' ? ending[1] - '0' : -1;
  if (slot < 0 || slot >= image::kSlots ||
      strncmp(ending + 2, kImageEnding + 2, sizeof kImageEnding - 3) != 0 ||
      ending[sizeof kImageEnding - 1] != next)
    return -1;
  return slot;
}

// The entries of a directory, one after another. Owns what it needs.
class Entries {
 public:
  explicit Entries(int directory) {
    const int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    entries_ = fd >= 0 ? fdopendir(fd) : nullptr;
    if (entries_ == nullptr && fd >= 0) close(fd);
  }
  Entries(const Entries&) = delete;
  Entries& operator=(const Entries&) = delete;
  ~Entries() {
    if (entries_ != nullptr) closedir(entries_);
  }
  const char* next() {
    const dirent* const entry = entries_ != nullptr ? readdir(entries_) : nullptr;
    return entry != nullptr ? entry->d_name : nullptr;
  }

 private:
  DIR* entries_;
};

int compare(const void* left, const void* right) {
  const auto& a = *static_cast<const CachedImage*>(left);
  const auto& b = *static_cast<const CachedImage*>(right);
  const int by_name = strcmp(a.name, b.name);
  return by_name != 0 ? by_name : a.slot - b.slot;
}

}  // namespace

bool is_later(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

bool CachedImage::was_used() const { return is_later(used, made); }

// Where file systems note a use once a day, what was used once is worth more than what is new.
bool CachedImage::goes_before(const CachedImage& other) const {
  if (was_used() != other.was_used()) return other.was_used();
  return is_later(other.used, used);
}

Cache::~Cache() { free(image_); }

bool Cache::open(char* path) {
  char* const end = path + strlen(path) - 1;
  const bool has_slash = *end == '/';
  if (has_slash) *end = '\0';
  directory_.reset(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  const int error = errno;
  const bool is_safe = directory_.valid() && image::judge_owner(directory_.get(), path) == nullptr;
  if (has_slash) *end = '/';
  errno = directory_.valid() ? 0 : error;
  if (!is_safe) directory_.reset();
  return is_safe;
}

void Cache::add(const CachedImage& image) {
  if (count_ == room_) {
    room_ = room_ != 0 ? 2 * room_ : 64;
    image_ = static_cast<CachedImage*>(realloc(image_, room_ * sizeof *image_));
    if (image_ == nullptr) fail("not enough memory");
  }
  image_[count_++] = image;
}

void Cache::list() {
  count_ = 0;
  Entries entries(directory());
  while (const char* entry = entries.next()) {
    CachedImage image = {};
    image.slot = slot_of(entry, '\0');
    struct stat status = {};
    if (image.slot < 0 || fstatat(directory(), entry, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode))
      continue;
    memcpy(image.name, entry, kNameLength);
    image.bytes = static_cast<uint64_t>(status.st_blocks) * 512;
    image.made = status.st_mtim;
    image.used = status.st_atim;
    add(image);
  }
  if (count_ > 0) qsort(image_, count_, sizeof *image_, compare);
}

uint64_t Cache::bytes() const {
  uint64_t sum = 0;
  for (const CachedImage& it : *this) sum += it.bytes;
  return sum;
}

void Cache::remove(const CachedImage& image) const {
  char name[kNameLength + sizeof kImageEnding];
  snprintf(name, sizeof name, "%.16s-%u.image", image.name, static_cast<unsigned>(image.slot) % image::kSlots);
  unlinkat(directory(), name, 0);
}

void Cache::remove_log(const char* name) const {
  char entry[kNameLength + sizeof kLogEnding];
  snprintf(entry, sizeof entry, "%.16s%s", name, kLogEnding);
  unlinkat(directory(), entry, 0);
}

void Cache::for_each_log(void (*each)(const char* name, void* context), void* context) const {
  Entries entries(directory());
  while (const char* entry = entries.next()) {
    if (!begins_with_name(entry) || strcmp(entry + kNameLength, kLogEnding) != 0) continue;
    char name[kNameLength + 1] = "";
    memcpy(name, entry, kNameLength);
    each(name, context);
  }
}

void Cache::remove_leftovers() const {
  Entries entries(directory());
  while (const char* entry = entries.next()) {
    if (slot_of(entry, '.') >= 0) unlinkat(directory(), entry, 0);  // IMAGE.XXXXXX
  }
}

UniqueFd Cache::open_log(const char* name) const {
  char entry[kNameLength + sizeof kLogEnding];
  snprintf(entry, sizeof entry, "%.16s%s", name, kLogEnding);
  return UniqueFd(openat(directory(), entry, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
}

}  // namespace moonlet::ctl
