#include "freeze/write.h"

#include "base/layout.h"
#include "image/format.h"
#include "image/freeze.h"
#include "image/rehearsal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

MOONLET_LARGE char temporary[PATH_MAX];  // where the image is until it is whole

int complain(const char* what, const char* on, const char* why) {
  fprintf(stderr, "moonlet: %s %s: %s\n", what, on, why);
  if (temporary[0] != '\0') unlink(temporary);
  return EXIT_FAILURE;
}

// What this process has taken of the processor.
long milliseconds_of_processor() { return clock() / (CLOCKS_PER_SEC / 1000); }

// The directory of the file `path`, for what makes its name last.
int open_directory_of(const char* path) {
  char directory[PATH_MAX];
  snprintf(directory, sizeof directory, "%s", path);
  char* const slash = strrchr(directory, '/');
  if (slash == nullptr) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  slash[slash == directory ? 1 : 0] = '\0';
  return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// The variables by which a rehearsal finds modules as the warm-up did. They outlive the freeze: warm states
// hold them anyway.
constexpr int kMostPaths = 8;
char* paths[kMostPaths + 1];

void keep_paths() {
  int count = 0;
  for (char** it = environ; it != nullptr && *it != nullptr && count < kMostPaths; it++) {
    if (strncmp(*it, "LUA_PATH", 8) != 0 && strncmp(*it, "LUA_CPATH", 9) != 0) continue;
    char* const copy = strdup(*it);
    if (copy != nullptr) paths[count++] = copy;
  }
}

// A launch of the new image, whatever the image asks. Returns how many pages it has written to, or -1 if the
// image does not thaw.
ssize_t rehearse(uintptr_t (&written)[image::kMostWritten]) {
  constexpr int kTold = 3;
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return -1;
  // Without fork(3), because what is to run before a fork has run: a library's lock is held from then on.
  const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child == 0) {
    static char name[] = "moonlet";
    static char option[] = "--rehearse";
    char* argv[] = {name, option, temporary, nullptr};
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    if (pipe_ends[1] == kTold) {
      fcntl(kTold, F_SETFD, 0);
    } else {
      dup2(pipe_ends[1], kTold);
    }
    execve("/proc/self/exe", argv, paths);
    _exit(127);
  }
  close(pipe_ends[1]);
  auto* const to = reinterpret_cast<char*>(written);
  size_t length = 0;
  ssize_t got = 0;
  while (length < sizeof written && (got = read(pipe_ends[0], to + length, sizeof written - length)) > 0)
    length += static_cast<size_t>(got);
  close(pipe_ends[0]);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return -1;
  return static_cast<ssize_t>(length / sizeof *written);
}

}  // namespace

int write_image(const Options& options, const questions::Collected& asked, image::Entry entry, uintptr_t block,
                uintptr_t frame, const char* const* modules, uint32_t heap) {
  MOONLET_LARGE static image::Frozen frozen;
  const char* const verbose = getenv("MOONLET_VERBOSE");
  const bool tells = verbose != nullptr && strcmp(verbose, "1") == 0;
  char path[PATH_MAX];  // the arguments are forgotten on the way
  snprintf(path, sizeof path, "%s", options.image);
  keep_paths();
  const int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", options.image);
  const bool fits = length < static_cast<int>(sizeof temporary);
  const int fd = fits ? mkostemp(temporary, O_CLOEXEC) : -1;
  if (fd < 0) {
    const int error = fits ? errno : ENAMETOOLONG;
    temporary[0] = '\0';
    return complain("freeze", path, strerror(error));
  }
  const questions::Mapping log = questions::mapping();
  const image::Content content = {entry,
                                  MOONLET_LUA_CODE,
                                  options.trust ? uint32_t{image::kTrusted} : 0,
                                  asked.bytes,
                                  asked.size,
                                  block,
                                  frame,
                                  {log.address, log.address + log.size},
                                  modules,
                                  heap};
  image::freeze(fd, content, frozen);
  if (frozen.problem[0] != '\0') return complain("freeze", path, frozen.problem);
  MOONLET_LARGE static uintptr_t written[image::kMostWritten];
  const ssize_t count = rehearse(written);
  if (count < 0) return complain("freeze", path, "the image does not thaw here");
  if (const char* problem = image::populate_written_pages(fd, written, static_cast<size_t>(count)))
    return complain(problem, path, strerror(errno));
  if (rename(temporary, path) != 0) return complain("rename to", path, strerror(errno));
  const int directory = open_directory_of(path);
  if (directory >= 0) fsync(directory);  // not every file system can; the name is there all the same
  for (uint32_t i = 0; tells && i < asked.problem_count; i++) {
    const questions::Problem& it = asked.problems[i];
    if (it.matter == questions::Matter::kClock)
      fprintf(stderr, "moonlet: freeze: %s%s\n", questions::describe(it.matter), it.text);
  }
  if (tells)
    fprintf(stderr, "moonlet: froze %s: %zu KB, %u segments, %u questions%s, %ld ms\n", path,
            static_cast<size_t>(frozen.size / 1024), frozen.segments, asked.count,
            asked.traced ? "" : " (untraced)", milliseconds_of_processor());
  return EXIT_SUCCESS;
}

}  // namespace moonlet::freeze
