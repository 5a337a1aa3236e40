#include "server/watch.h"

#include "base/hash.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

// Of a directory: that a name in it comes to mean something else.
constexpr uint32_t kNames = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB;
// Of a file, by whichever name. Who writes through a mapping is noticed when he closes the file.
constexpr uint32_t kContent = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB;

constexpr int kMostLinks = 40;  // as many as the kernel follows, path_resolution(7)

// Of a name in the directory with watch descriptor `watch`; an empty name is the watched file itself.
uint32_t key_of(int watch, const char* name) {
  return hash(static_cast<uint32_t>(watch) * kHashBasis, name, strlen(name)) | 1;
}

bool is_file(const char* path) {
  struct stat found;
  return stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

// The kernel makes it up.
bool is_made_up(const char* path) { return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0; }

}  // namespace

bool Watch::Keys::add(uint32_t key) {
  if (2 * count_ >= capacity_ && !grow()) return false;
  uint32_t* const free = slot(key);
  if (*free == 0) count_++;
  *free = key;
  return true;
}

void Watch::Keys::clear() {
  free(table_);
  table_ = nullptr;
  capacity_ = count_ = 0;
}

// Where the key is, or would be.
uint32_t* Watch::Keys::slot(uint32_t key) const {
  for (uint32_t i = key / 2;; i++) {
    uint32_t* const at = &table_[i & (capacity_ - 1)];
    if (*at == 0 || *at == key) return at;
  }
}

bool Watch::Keys::grow() {
  uint32_t* const before = table_;
  const uint32_t count = capacity_;
  const uint32_t larger = capacity_ != 0 ? 2 * capacity_ : 256;
  auto* const table = static_cast<uint32_t*>(calloc(larger, sizeof *table_));
  if (table == nullptr) return false;
  table_ = table;
  capacity_ = larger;
  for (uint32_t i = 0; i < count; i++) {
    if (before[i] != 0) *slot(before[i]) = before[i];
  }
  free(before);
  return true;
}

// Has the kernel tell of `events` at the first `length` letters of `path`, the working directory if there are
// none. The letters behind them are the name in there that is of interest. False if it will not; of what is not
// there the directory above tells.
bool Watch::tell(char* path, size_t length, uint32_t events) {
  const char first = path[length];
  path[length] = '\0';
  const int watch = inotify_add_watch(inotify_.get(), length != 0 ? path : ".", events | IN_MASK_ADD);
  path[length] = first;
  return watch >= 0 && keys_.add(key_of(watch, path + length));
}

// Watches each directory and link on the way, as far as the kernel tells of it and the way is not longer with
// its links than these. What is left out a launch finds.
bool Watch::follow(const char* path) {
  char done[PATH_MAX];  // its first `used` letters lead up to a slash, without links; behind them is the next
                        // name
  char rest[PATH_MAX];  // its end, from `at`, is still to go
  char link[PATH_MAX];
  size_t used = 0;
  char* at = rest + sizeof rest;
  const char* in_front = path;
  auto size = static_cast<ssize_t>(strlen(path) + 1);
  for (int links = 0; links <= kMostLinks && size <= at - rest; links++) {
    at -= size;
    memcpy(at, in_front, static_cast<size_t>(size));
    if (*at == '/') used = 0;
    if (*at == '/') done[used++] = '/';
    for (;;) {
      at += strspn(at, "/");
      const size_t length = strcspn(at, "/");
      if (length == 0 || used + length + 2 > sizeof done) return length == 0;
      memcpy(done + used, at, length);
      done[used + length] = '\0';
      at += length;
      if (!tell(done, used, kNames)) return false;
      size = readlink(done, link, sizeof link);
      if (size > 0) break;
      if (errno != EINVAL) return true;  // there is nothing
      // What happens through an overlay some kernels tell the directory alone.
      if (*at == '\0')
        return !is_file(done) || (tell(done, used + length, kContent) && tell(done, used, kNames | kContent));
      used += length;
      done[used++] = '/';
    }
    in_front = link;
  }
  return false;
}

void Watch::begin() {
  keys_.clear();
  inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

void Watch::add(const char* path) {
  if (!is_made_up(path)) follow(path);
}

bool Watch::has_changed() {
  bool changed = false;
  int size = 0;
  ioctl(inotify_.get(), FIONREAD, &size);  // not what comes while this reads: somebody may never leave off
  while (size > 0) {
    alignas(inotify_event) char buffer[4096];
    const ssize_t got = read(inotify_.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    size -= static_cast<int>(got);
    for (const char* at = buffer; at < buffer + got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof *event + event->len;
      // Without a length there is no name, and none is what the next event's watch descriptor begins with.
      changed |= (event->mask & (IN_Q_OVERFLOW | IN_UNMOUNT)) != 0 ||
                 keys_.has(key_of(event->wd, event->len != 0 ? event->name : ""));
    }
  }
  return changed;
}

}  // namespace moonlet::server
