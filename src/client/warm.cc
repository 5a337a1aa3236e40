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

// The log of the warm-up, open and made if need be, or -1.
int open_log() {
  image::CachePath& cache = cache_path();
  char log_name[image::CachePath::kNameLength + sizeof ".log"];
  char* const name = cache.text() + cache.directory_length();
  memcpy(log_name, name, image::CachePath::kNameLength);
  memcpy(log_name + image::CachePath::kNameLength, ".log", sizeof ".log");
  name[-1] = '\0';
  const int directory = open_own_directory(cache.text(), 2);
  name[-1] = '/';
  if (directory < 0) return -1;
  int log = -1;
  if (image::is_on_local_file_system(directory))
    log = openat(directory, log_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
  close(directory);
  return log;
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
bool is_due(int log) {
  image::FileStatus status;
  if (image::look(log, "", image::Follow::kYes, &status) != 0) return false;
  const int64_t left = status.modified.seconds - now();
  return left <= 0 || left > protocol::kLongestDelay;
}

// fork(2), but the parent gets no SIGCHLD at the end: lua could find one pending, if it is blocked.
long fork_quietly() { return syscall(SYS_clone, 0, 0, 0, 0, 0); }

[[noreturn]] void become_freezer_of(int log) {
  syscall(SYS_dup3, log, protocol::kLogDescriptor, 0);  // or it has that number
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
  const int log = open_log();
  if (log < 0) return;
  // Who has it goes on holding it while it freezes.
  if (is_due(log) && syscall(SYS_flock, log, LOCK_EX | LOCK_NB) == 0) {
    const long child = fork_quietly();
    if (child == 0) {
      if (fork_quietly() == 0) become_freezer_of(log);
      _exit(0);
    }
    if (child > 0) syscall(SYS_wait4, child, nullptr, __WALL, nullptr);
  }
  close(log);
}

}  // namespace moonlet::client
