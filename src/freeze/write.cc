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

// This program's data goes into the image, and is another one for each that lies on it: there this is on the
// stack.
#if defined(MOONLET_LAYERS)
#define MOONLET_ASIDE
#else
#define MOONLET_ASIDE MOONLET_LARGE static
#endif

// Where the image is until it is whole.
struct Attempt {
  char path[PATH_MAX];  // of the image; the arguments are forgotten on the way
  char temporary[PATH_MAX];

  int complain(const char* what, const char* why) {
    fprintf(stderr, "moonlet: %s %s: %s\n", what, path, why);
    if (temporary[0] != '\0') unlink(temporary);
    return EXIT_FAILURE;
  }
};

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
  paths[count] = nullptr;
}

// A launch of the new image, whatever the image asks. Returns how many pages it has written to, or -1 if the
// image does not thaw.
ssize_t rehearse(char* image, uintptr_t (&written)[image::kMostWritten]) {
  constexpr int kTold = 3;
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return -1;
  // Without fork(3), because what is to run before a fork has run: a library's lock is held from then on.
  const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child == 0) {
    static char name[] = "moonlet";
    static char option[] = "--rehearse";
    char* argv[] = {name, option, image, nullptr};
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

#if defined(MOONLET_LAYERS)

// An image below that is not trusted has questions about files, which are this one's too.
bool is_trusted(const Options& options, const image::Tables& base) {
  return options.trust && (base.at == nullptr || (base.header().flags & image::kTrusted) != 0);
}

// Whether it would take the place of one that it lies on.
bool is_below(const char* path, const image::Tables& base, const char* base_path) {
  struct stat its;
  struct stat one;
  if (base.at == nullptr || stat(path, &its) != 0) return false;
  const auto is_one = [&](const char* name) {
    return stat(name, &one) == 0 && one.st_dev == its.st_dev && one.st_ino == its.st_ino;
  };
  for (uint32_t i = 0; i < base.header().files; i++) {
    if (base.is_image(i) && is_one(base.path(i))) return true;
  }
  return is_one(base_path);
}

#else

bool is_trusted(const Options& options, const image::Tables&) { return options.trust; }
bool is_below(const char*, const image::Tables&, const char*) { return false; }

#endif

}  // namespace

int write_image(const Options& options, const questions::Collected& asked, const Source& source,
                const char* const* notes, uint32_t modules, uint32_t heap) {
  const char* const verbose = getenv("MOONLET_VERBOSE");
  const bool tells = verbose != nullptr && strcmp(verbose, "1") == 0;
  MOONLET_ASIDE Attempt attempt = {};
  snprintf(attempt.path, sizeof attempt.path, "%s", options.image);
  keep_paths();
  if (is_below(attempt.path, source.base, options.base))
    return attempt.complain("freeze", "it is the image below, or one below that");
  const int length = snprintf(attempt.temporary, sizeof attempt.temporary, "%s.XXXXXX", options.image);
  const bool fits = length < static_cast<int>(sizeof attempt.temporary);
  const int fd = fits ? mkostemp(attempt.temporary, O_CLOEXEC) : -1;
  if (fd < 0) {
    const int error = fits ? errno : ENAMETOOLONG;
    attempt.temporary[0] = '\0';
    return attempt.complain("freeze", strerror(error));
  }
#if defined(MOONLET_LAYERS)
  char base_path[PATH_MAX] = "";
  if (source.base.at != nullptr && realpath(options.base, base_path) == nullptr)
    return attempt.complain("freeze", "the image below is gone");
#else
  constexpr const char* base_path = nullptr;
#endif
  const questions::Mapping log = questions::mapping();
  const image::Content content = {source.entry,
                                  MOONLET_LUA_CODE,
                                  is_trusted(options, source.base) ? uint32_t{image::kTrusted} : 0,
                                  asked.bytes,
                                  asked.size,
                                  source.stack,
                                  source.frame,
                                  {log.address, log.address + log.size},
                                  source.base,
                                  base_path,
                                  source.unused,
                                  source.unused_count,
                                  notes,
                                  modules,
                                  heap};
  MOONLET_ASIDE image::Frozen frozen = {};
  image::freeze(fd, content, frozen);
  if (frozen.problem[0] != '\0') return attempt.complain("freeze", frozen.problem);
  MOONLET_ASIDE uintptr_t written[image::kMostWritten] = {};
  const ssize_t count = rehearse(attempt.temporary, written);
  if (count < 0) return attempt.complain("freeze", "the image does not thaw here");
  if (const char* problem = image::populate_written_pages(fd, written, static_cast<size_t>(count)))
    return attempt.complain(problem, strerror(errno));
  if (rename(attempt.temporary, attempt.path) != 0) return attempt.complain("rename to", strerror(errno));
  const int directory = open_directory_of(attempt.path);
  if (directory >= 0) fsync(directory);  // not every file system can; the name is there all the same
  for (uint32_t i = 0; tells && i < asked.problem_count; i++) {
    const questions::Problem& it = asked.problems[i];
    if (it.matter == questions::Matter::kClock)
      fprintf(stderr, "moonlet: freeze: %s%s\n", questions::describe(it.matter), it.text);
  }
  if (tells)
    fprintf(stderr, "moonlet: froze %s: %zu KB, %u segments, %u questions%s, %ld ms\n", attempt.path,
            static_cast<size_t>(frozen.size / 1024), frozen.segments, asked.count,
            asked.traced ? "" : " (untraced)", milliseconds_of_processor());
  return EXIT_SUCCESS;
}

}  // namespace moonlet::freeze
