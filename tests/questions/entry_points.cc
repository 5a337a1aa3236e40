// Functions in front of libc's give it their arguments as they came, in registers and on the stack, while a
// warm-up is recorded and after it. A program of its own, without Lua, so that it runs wherever a compiler is:
// also for other machines, under qemu.

#include "freeze/questions.h"
#include "image/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace {

namespace questions = moonlet::freeze::questions;

int failures;

void expect(bool is, const char* what) {
  if (!is) fprintf(stderr, "entry_points: %s\n", what);
  if (!is) failures++;
}

// More arguments than any machine has registers for.
bool passes_many() {
  const pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", "test \"$*\" = '1 2 3 4 5 6 7 8 9'", "sh", "1", "2", "3", "4", "5", "6", "7",
          "8", "9", static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = -1;
  return waitpid(pid, &status, 0) == pid && status == 0;
}

bool spawns() {
  char name[] = "sh", option[] = "-c", code[] = "test \"$GIVEN\" = yes", given[] = "GIVEN=yes";
  char* argv[] = {name, option, code, nullptr};
  char* envp[] = {given, nullptr};
  pid_t pid;
  int status = -1;
  return posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv, envp) == 0 && waitpid(pid, &status, 0) == pid &&
         status == 0;
}

void use(const char* directory) {
  setenv("ENTRY_POINTS", "1", 1);
  const char* value = getenv("ENTRY_POINTS");
  expect(value != nullptr && strcmp(value, "1") == 0, "getenv");
  expect(getenv("ENTRY_POINTS_NONE") == nullptr, "getenv of what is not set");
  const char* locale = setlocale(LC_ALL, "C");
  expect(locale != nullptr && strcmp(locale, "C") == 0, "setlocale");

  char path[256];
  snprintf(path, sizeof path, "%s/file", directory);
  const mode_t mask = umask(0);
  const int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
  umask(mask);
  struct stat status;
  expect(fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 0777) == 0640, "open with a mode");
  close(fd);
  expect(fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode), "fstatat");
  errno = 0;
  expect(access(path, R_OK) == 0 && errno == 0, "access, which leaves errno alone");
  FILE* stream = fopen(path, "w");
  expect(stream != nullptr && fputs("x", stream) >= 0 && fclose(stream) == 0, "fopen");
  unlink(path);
  expect(open(path, O_RDONLY) < 0 && errno == ENOENT, "open of nothing");

  char text[64];
  const time_t long_ago = 86400;
  struct tm parts;
  expect(localtime_r(&long_ago, &parts) == &parts && strftime(text, sizeof text, "%Y", &parts) == 4 &&
             strcmp(text, "1970") == 0,
         "localtime_r and strftime");
  expect(passes_many(), "execl");
  expect(spawns(), "posix_spawn");
  expect(system("exit 3") == 3 << 8, "system");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  questions::Options options;
  options.tracing = questions::Tracing::kNone;
  unsetenv("ENTRY_POINTS");
  questions::begin(options);
  use(argv[1]);
  questions::end();
  const questions::Collected all = questions::collect();
  expect(all.count > 5, "questions were recorded");
  unsetenv("ENTRY_POINTS");
  const auto found =
      moonlet::image::first_that_differs(all.bytes, all.size, environ, moonlet::image::Which::kAll);
  if (found.question != nullptr) {
    char words[256];
    moonlet::image::describe(found, words, sizeof words);
    expect(false, words);
  }
  questions::forget();
  use(argv[1]);
  return failures == 0 ? 0 : 1;
}
