#include "freeze/write.h"

#include "image/format.h"
#include "image/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

char temporary[PATH_MAX];  // where the image is until it is whole

int complain(const char* what, const char* on, const char* why) {
  fprintf(stderr, "moonlet: %s %s: %s\n", what, on, why);
  if (temporary[0] != '\0') unlink(temporary);
  return EXIT_FAILURE;
}

// The directory of the file `path`, for what makes its name last.
int open_directory_of(const char* path) {
  char directory[PATH_MAX];
  snprintf(directory, sizeof directory, "%s", path);
  char* const slash = strrchr(directory, '/');
  if (slash == nullptr) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  slash[slash == directory ? 1 : 0] = '\0';
  return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// A launch of the new image that ends where a script would begin. Nothing of this process' environment is left
// by now, and what the image asks of it is not what is tested.
bool thaws() {
  static char name[] = "moonlet";
  static char option[] = "--try-image";
  char* argv[] = {name, option, temporary, nullptr};
  char* environment[] = {nullptr};
  const pid_t child = fork();
  if (child == 0) {
    execve("/proc/self/exe", argv, environment);
    _exit(127);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

int write_image(const Options& options, image::Entry entry, uintptr_t block) {
  static image::Frozen frozen;
  const char* const verbose = getenv("MOONLET_VERBOSE");
  const bool tells = verbose != nullptr && strcmp(verbose, "1") == 0;
  char path[PATH_MAX];  // the arguments are forgotten on the way
  snprintf(path, sizeof path, "%s", options.image);
  snprintf(temporary, sizeof temporary, "%s.XXXXXX", options.image);
  const int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    temporary[0] = '\0';
    return complain("freeze", path, strerror(error));
  }
  image::Content content = {entry, MOONLET_LUA_CODE, options.trust ? uint32_t{image::kTrusted} : 0, "", 0, 0,
                            block};
  image::freeze(fd, content, frozen);
  if (frozen.problem[0] != '\0') return complain("freeze", path, frozen.problem);
  close(fd);
  if (!thaws()) return complain("freeze", path, "the image does not thaw here");
  if (rename(temporary, path) != 0) return complain("rename to", path, strerror(errno));
  const int directory = open_directory_of(path);
  if (directory >= 0) fsync(directory);  // not every file system can; the name is there all the same
  if (tells)
    fprintf(stderr, "moonlet: froze %s: %zu KB, %u segments\n", path, static_cast<size_t>(frozen.size / 1024),
            frozen.segments);
  return EXIT_SUCCESS;
}

}  // namespace moonlet::freeze
