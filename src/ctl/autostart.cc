#include "ctl/autostart.h"

#include "base/kernel.h"
#include "base/unique_fd.h"
#include "ctl/words.h"
#include "protocol/autostart.h"
#include "protocol/protocol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

constexpr char kIdleSeconds[] = "600";  // a later --idle-exit counts
constexpr int kSecondsBetweenAttempts = 10;
constexpr int kMostWords = 1000;

// Where nobody can be told why: the script runs through lua, and so will the next.
[[noreturn]] void give_up() { _exit(protocol::kOwnFailure); }

// All descriptors that this process has begun with are somebody else's.
void close_all() {
  DIR* const open = opendir("/proc/self/fd");
  if (open == nullptr) give_up();
  while (const dirent* entry = readdir(open)) {
    const int descriptor = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && descriptor != dirfd(open)) close(descriptor);
  }
  closedir(open);
  for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
    if (::open("/dev/null", O_RDWR) != i) give_up();
  }
}

// What the first script has of these shall not count for all others.
void leave_the_caller() {
  setsid();
  umask(077);
  if (chdir("/") != 0) give_up();
  for (int signal = 1; signal <= kernel::kLastSignal; signal++) kernel::set_default(signal);
  const kernel::SignalSet none;
  kernel::change_mask(SIG_SETMASK, &none, nullptr);
  constexpr int kRaised[] = {RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_AS, RLIMIT_NOFILE};
  for (const int resource : kRaised) {
    kernel::Limit limit = {};
    kernel::limit(resource, nullptr, &limit);
    limit.soft = limit.hard;
    kernel::limit(resource, &limit, nullptr);
  }
  // What tells a service that it is one.
  constexpr const char* kOfServices[] = {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"};
  for (const char* name : kOfServices) unsetenv(name);
}

// A directory in which nobody else has put anything.
bool is_own(const char* directory) {
  struct stat status = {};
  return stat(directory, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 022) == 0;
}

// The log is a lock as long as the moonletd that writes it lives, and its time that of the last attempt.
bool is_too_early(int log) {
  struct stat status = {};
  if (flock(log, LOCK_EX | LOCK_NB) != 0 || fstat(log, &status) != 0) return true;
  // Not what is in the future, if the clock has been set back. (A file's time can be a little ahead of
  // time(2).)
  const time_t since = time(nullptr) - status.st_mtime;
  return status.st_size > 0 && since > -kSecondsBetweenAttempts && since < kSecondsBetweenAttempts;
}

// Makes standard error the log of the moonletd at `socket`, if one may be started now.
void begin_log(char* socket) {
  char* const name = strrchr(socket, '/');
  *name = '\0';
  if (*socket != '/' || !is_own(socket)) give_up();
  *name = '/';
  name_log(socket);
  const int log = open(socket, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (log < 0 || is_too_early(log) || ftruncate(log, 0) != 0 || dup2(log, STDERR_FILENO) < 0) give_up();
}

[[noreturn]] void fail_to_start(const char* problem) {
  fprintf(stderr, "moonletctl: start moonletd: %s\n", problem);
  give_up();
}

// The one beside this program, or one on the path.
[[noreturn]] void become_moonletd(char** argv) {
  static constexpr char kName[] = "moonletd";
  char path[PATH_MAX + sizeof kName];
  const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  path[length > 0 ? length : 0] = '\0';
  char* const slash = strrchr(path, '/');
  if (slash != nullptr) {
    memcpy(slash + 1, kName, sizeof kName);
    execv(path, argv);
  }
  execvp(kName, argv);
  fail_to_start(strerror(errno));
}

}  // namespace

void name_log(char* socket) { memcpy(strrchr(socket, '.'), ".log", sizeof ".log"); }

void autostart() {
  const protocol::SocketToAsk ask = protocol::socket_to_ask(nullptr);
  // Who has been told to make way can give no script a better place.
  if (!ask.is_private || !ask.address.fits || getpriority(PRIO_PROCESS, 0) > 0) give_up();
  close_all();
  leave_the_caller();
  protocol::SocketAddress log = ask.address;
  begin_log(log.un.sun_path);

  const char* const value = protocol::setting(protocol::kAutostart);
  fprintf(stderr, "moonletctl: starts moonletd %s\n", value);
  char* const words = strdup(value);
  const char* const first[] = {"moonletd", "--socket", ask.address.un.sun_path, "--idle-exit", kIdleSeconds};
  constexpr int kFirst = sizeof first / sizeof *first;
  static char* argv[kFirst + kMostWords + 1];
  memcpy(argv, first, sizeof first);
  if (words == nullptr || split_words(words, argv + kFirst, kMostWords) < 0)
    fail_to_start("a quote or a backslash without end, or more than a thousand words");
  for (char** word = argv + kFirst; *word != nullptr; word++) {
    if (strncmp(*word, "--socket", 8) == 0) fail_to_start("--socket is not for it to choose");
  }
  become_moonletd(argv);
}

}  // namespace moonlet::ctl
