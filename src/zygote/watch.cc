#include "zygote/watch.h"

#include "base/hash.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::zygote::watch {

namespace {

// Of a directory: that a name in it comes to mean something else.
constexpr uint32_t kNames = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB;
// Of a file, by whichever name. Who writes through a mapping is noticed when he closes the file.
constexpr uint32_t kContent = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB;

constexpr int kMostLinks = 40;  // as many as the kernel follows, path_resolution(7)

// Of a name in the directory with watch descriptor `watch`; an empty name is the watched file itself. 0 is no
// watch descriptor: that of whole paths.
uint32_t key_of(int watch, const char* name) {
  return hash(static_cast<uint32_t>(watch) * kHashBasis, name, strlen(name)) | 1;
}

// A set of keys. Two things with one key: a change of the one passes for a change of the other, which costs a
// new image for nothing, once in billions.
class Keys {
 public:
  [[nodiscard]] bool has(uint32_t key) const { return capacity_ != 0 && *slot(key) == key; }

  // False without memory.
  bool add(uint32_t key) {
    if (2 * count_ >= capacity_ && !grow()) return false;
    uint32_t* const free = slot(key);
    if (*free == 0) {  // what a layer shares with the image below is not written to
      count_++;
      *free = key;
    }
    return true;
  }

 private:
  // Where the key is, or would be.
  [[nodiscard]] uint32_t* slot(uint32_t key) const {
    for (uint32_t i = key / 2;; i++) {
      uint32_t* const at = &table_[i & (capacity_ - 1)];
      if (*at == 0 || *at == key) return at;
    }
  }

  bool grow() {
    const Keys before = *this;
    capacity_ = before.capacity_ != 0 ? 2 * before.capacity_ : 256;
    table_ = static_cast<uint32_t*>(calloc(capacity_, sizeof *table_));
    if (table_ == nullptr) {
      *this = before;
      return false;
    }
    for (uint32_t i = 0; i < before.capacity_; i++) *slot(before.table_[i]) = before.table_[i];
    free(before.table_);
    return true;
  }

  uint32_t* table_ = nullptr;
  uint32_t capacity_ = 0;  // a power of two
  uint32_t count_ = 0;
};

struct File {
  char* path;
  uint32_t look;  // look_of(path) before it was opened
  bool is_told;   // the kernel tells of changes
};

bool active = false;
int inotify = -1;
Keys keys;
File* file = nullptr;
int files = 0;
bool all_told = true;
bool is_incomplete = false;  // there was no memory to watch something

#if defined(MOONLET_BUILTIN_MODULE)
constexpr bool kMayBecomeLayer = true;
constexpr int kMostOfScript = 1 << 16;  // some 60 bytes each
int most_files = INT_MAX;
#else
constexpr bool kMayBecomeLayer = false;
#endif
constexpr int kFilesAtOnce = kMayBecomeLayer ? 256 : 1;  // that there is room for; a few bytes of code on MIPS

// What changes with a file, whatever is done to it; an odd number. 0: there is none. Of anything else only that
// it is of another kind: what a device has to say is never the same twice.
uint32_t look_of(const char* path) {
  struct stat found;
  memset(&found, 0, sizeof found);  // what it is padded with too
  if (stat(path, &found) != 0) return 0;
  if (!S_ISREG(found.st_mode)) return found.st_mode & S_IFMT;
  found.st_atim = {};
  return hash(kHashBasis, &found, sizeof found) | 1;
}

// Has the kernel tell of `events` at the first `length` letters of `path`, the working directory if there are
// none. The letters behind them are the name in there that is of interest. False if it will not; of what is not
// there the directory above tells.
bool tell(char* path, size_t length, uint32_t events) {
  const char first = path[length];
  path[length] = '\0';
  const int watch = inotify_add_watch(inotify, length != 0 ? path : ".", events | IN_MASK_ADD);
  path[length] = first;
  return watch >= 0 ? keys.add(key_of(watch, path + length)) : errno == ENOENT || errno == ENOTDIR;
}

// Watches each directory and link on the way. False if the kernel does not tell of everything, or the way is
// longer with its links than these.
bool follow(const char* path) {
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
        return look_of(done) % 2 == 0 ||
               (tell(done, used + length, kContent) && tell(done, used, kNames | kContent));
      used += length;
      done[used++] = '/';
    }
    in_front = link;
  }
  return false;
}

#if defined(MOONLET_BUILTIN_MODULE)

// What `path` is from any directory, in `room` if it is relative: a layer has another one than the image below.
// Left as it is where that has no name, or one that is too long.
const char* from_root(const char* path, char (&room)[PATH_MAX]) {
  if (*path == '/' || getcwd(room, sizeof room) == nullptr) return path;
  if (strncmp(path, "./", 2) == 0) path += 2;  // as Lua's own path begins
  const size_t used = strcmp(room, "/") != 0 ? strlen(room) : 0;
  const int added = snprintf(room + used, sizeof room - used, "/%s", path);
  return static_cast<size_t>(added) < sizeof room - used ? room : path;
}

#endif

// The kernel makes it up.
bool is_made_up(const char* path) { return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0; }

}  // namespace

void begin() {
  active = true;
  inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

void end() { active = false; }

#if defined(MOONLET_BUILTIN_MODULE)

void observe() {
  active = true;
  inotify = -1;  // it was the zygote's
  most_files = files + kMostOfScript;
}

bool has_lost_track() { return files >= most_files; }

void resume() {
  active = false;
  most_files = INT_MAX;
  inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  all_told = true;
  for (int i = 0; i < files; i++) {
    // What has changed before it was told of is looked at, and found to differ, from now on.
    const bool is_told = follow(file[i].path) && look_of(file[i].path) == file[i].look;
    if (file[i].is_told != is_told)
      file[i].is_told = is_told;  // shared with the image below, if it is not written to
    all_told &= is_told;
  }
}

#endif

void add(const char* path) {
  if (!active) return;
#if defined(MOONLET_BUILTIN_MODULE)
  char room[PATH_MAX];
  path = from_root(path, room);
#endif
  const uint32_t key = key_of(0, path);
  if (has_lost_track() || keys.has(key) || is_made_up(path)) return;
  const uint32_t look = look_of(path);
  if (look == S_IFIFO) return;  // to look for changes would be to read it
  char* const copy = strdup(path);
  void* const grown = files % kFilesAtOnce != 0
                          ? file
                          : realloc(file, sizeof *file * static_cast<size_t>(files + kFilesAtOnce));
  if (grown != nullptr) file = static_cast<File*>(grown);
  if (grown == nullptr || copy == nullptr || !keys.add(key)) {
    free(copy);
    is_incomplete = true;
    return;
  }
  File& added = file[files++];
  added.path = copy;
  // A script has no inotify, and would only use up pages of its stack.
  added.is_told = (!kMayBecomeLayer || inotify >= 0) && follow(path);
  added.look = look;
  all_told &= added.is_told;
}

int descriptor() { return inotify; }

bool has_changed() {
  bool changed = false;
  int size = 0;
  ioctl(inotify, FIONREAD, &size);  // not what comes while this reads: somebody may never leave off
  while (size > 0) {
    alignas(inotify_event) char buffer[4096];
    const ssize_t got = read(inotify, buffer, sizeof buffer);
    if (got <= 0) break;
    size -= static_cast<int>(got);
    for (const char* at = buffer; at < buffer + got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof *event + event->len;
      // Without a length there is no name, and none is what the next event's watch descriptor begins with.
      changed |= (event->mask & (IN_Q_OVERFLOW | IN_UNMOUNT)) != 0 ||
                 keys.has(key_of(event->wd, event->len != 0 ? event->name : ""));
    }
  }
  return changed;
}

bool looks_changed() {
  for (int i = all_told ? files : 0; i < files; i++) {
    if (!file[i].is_told && look_of(file[i].path) != file[i].look) return true;
  }
  return is_incomplete;
}

void describe(int connection) {
  const auto count = static_cast<uint32_t>(files);
  [[maybe_unused]] ssize_t written = write(connection, &count, sizeof count);
  for (int i = 0; i < files; i++) written = write(connection, file[i].path, strlen(file[i].path) + 1);
}

}  // namespace moonlet::zygote::watch

namespace {

using Open = FILE* (*)(const char*, const char*);

FILE* open_stream(Open& libc_open, const char* symbol, const char* path, const char* mode) {
  if (libc_open == nullptr) libc_open = reinterpret_cast<Open>(dlsym(RTLD_NEXT, symbol));
  // What is written too is no source: a log would ask for a new image with each line.
  if (*mode == 'r' && strchr(mode, '+') == nullptr) moonlet::zygote::watch::add(path);
  return libc_open(path, mode);
}

}  // namespace

// Stand in front of the C library's for liblua, which opens by these whatever it loads or looks for, and for
// every C module.
extern "C" [[gnu::visibility("default")]] FILE*
fopen(  // NOLINT(readability-inconsistent-declaration-parameter-name)
    const char* __restrict path, const char* __restrict modes) {
  static Open libc_fopen = nullptr;
  return open_stream(libc_fopen, "fopen", path, modes);
}
#if defined(__GLIBC__)
extern "C" [[gnu::visibility("default")]] FILE*
fopen64(  // NOLINT(readability-inconsistent-declaration-parameter-name)
    const char* path, const char* mode) {
  static Open libc_fopen64 = nullptr;
  return open_stream(libc_fopen64, "fopen64", path, mode);
}
#endif
