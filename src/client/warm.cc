#include "client/warm.h"

#include "base/layout.h"
#include "client/companion.h"
#include "image/answer.h"
#include "image/owner.h"
#include "protocol/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

// Opens the directory `path` (written to, and put right), O_PATH. If it is not there it is made, and the one
// above it likewise, as often as `levels` says. -1 if it cannot be, or if others than root and this user could
// write there.
int open_own_directory(char* path, int levels) {
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  int fd = open(path, kFlags);
  if (fd < 0 && errno == ENOENT && levels > 0) {
    char* name = path + strlen(path);
    while (*--name != '/') continue;
    *name = '\0';
    const int above = open_own_directory(path, levels - 1);
    *name = '/';
    if (above < 0) return -1;
    mkdirat(above, name + 1, 0700);  // if that fails, so does the next
    close(above);
    fd = open(path, kFlags);
  }
  if (fd >= 0 && image::judge_owner(fd, path) != nullptr) {
    close(fd);
    fd = -1;
  }
  return fd;
}

// The directory of the images, open and made if need be, or -1.
int open_cache() {
  image::CachePath& cache = cache_path();
  char& slash = cache.text()[cache.directory_length() - 1];
  slash = '\0';
  int directory = open_own_directory(cache.text(), 2);
  slash = '/';
  if (directory >= 0 && !image::is_on_local_file_system(directory)) {
    close(directory);
    directory = -1;
  }
  return directory;
}

int64_t now() {
#if defined(SYS_clock_gettime64)
  int64_t time[2] = {};
  syscall(SYS_clock_gettime64, CLOCK_REALTIME, time);
#else
  long time[2] = {};
  syscall(SYS_clock_gettime, CLOCK_REALTIME, time);
#endif
  return time[0];
}

// The time of the log is that of the next attempt. One too far away was set before somebody set the clock.
bool is_due(int directory) {
  constexpr size_t kLength = image::CachePath::kNameLength;
  char name[kLength + sizeof image::CachePath::kLogEnding];
  memcpy(name, cache_path().name(), kLength);
  memcpy(name + kLength, image::CachePath::kLogEnding, sizeof image::CachePath::kLogEnding);
  image::FileStatus log;
  const int error = image::look(directory, name, image::Follow::kNo, &log);
  if (error != 0) return error == ENOENT;
  const int64_t left = log.modified.seconds - now();
  return left <= 0 || left > protocol::kLongestDelay;
}

// Open and locked, or -1: then a freeze is under way, or cannot be.
int lock_cache(int directory) {
  const int lock = openat(directory, protocol::kLockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (lock < 0 || syscall(SYS_flock, lock, LOCK_EX | LOCK_NB) == 0) return lock;
  close(lock);
  return -1;
}

// fork(2), but the parent gets no SIGCHLD at the end: lua could find one pending, if it is blocked.
long fork_quietly() { return syscall(SYS_clone, 0, 0, 0, 0, 0); }

// Who becomes it holds the lock while it freezes.
[[noreturn]] void become_freezer(int lock) {
  syscall(SYS_dup3, lock, protocol::kLockDescriptor, 0);  // or it has that number
  static char name[] = "moonletctl";
  static char option[] = "--freeze-warm-up";
  cache_path().set_log();
  char* argv[] = {name, option, cache_path().text(), nullptr};
  execute_companion(argv);
  _exit(0);
}

}  // namespace

image::CachePath& cache_path() {
  MOONLET_LARGE static image::CachePath path;
  return path;
}

void have_frozen() {
  const int directory = open_cache();
  if (directory < 0) return;
  const int lock = is_due(directory) ? lock_cache(directory) : -1;
  close(directory);
  if (lock < 0) return;
  const long child = fork_quietly();
  if (child == 0) {
    if (fork_quietly() == 0) become_freezer(lock);
    _exit(0);
  }
  if (child > 0) syscall(SYS_wait4, child, nullptr, __WALL, nullptr);
  close(lock);
}

}  // namespace moonlet::client
