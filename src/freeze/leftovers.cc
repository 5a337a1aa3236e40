#include "freeze/leftovers.h"

#include "base/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

constexpr int kKnown = 1024;  // descriptors: those above are whoever's started the freeze
constexpr const char* kDescriptors = "/proc/self/fd";

// Lines of /proc/self/status that tell who a process is and what it may do (proc_pid_status(5)).
constexpr const char* kLines[] = {
    "Uid:",    "Gid:",    "Groups:", "NSpid:",      "CapInh:",  "CapPrm:",         "CapEff:",
    "CapBnd:", "CapAmb:", "VmLck:",  "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"};
constexpr const char* kNamespaces[] = {"cgroup", "ipc", "mnt", "net", "time", "user", "uts"};
constexpr int kNamespaceCount = sizeof kNamespaces / sizeof *kNamespaces;

struct Place {
  dev_t device;
  ino_t inode;
  bool operator==(const Place&) const = default;
};

struct Process {
  char status[8192];
  Place root;
  Place name_space[kNamespaceCount];
};

MOONLET_LARGE Process before;
MOONLET_LARGE bool was_open[kKnown];
MOONLET_LARGE char owner[kKnown][48];  // the module after which a descriptor was there

void read_status(char (&text)[sizeof Process::status]) {
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  const ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
  text[length > 0 ? length : 0] = '\0';
  if (fd >= 0) close(fd);
}

// The rest of the line that begins with `name`, or "".
const char* find_line(const char* text, const char* name, size_t& length) {
  const char* at = text;
  while (at != nullptr && strncmp(at, name, strlen(name)) != 0) {
    at = strchr(at, '\n');
    if (at != nullptr) at++;
  }
  if (at == nullptr) {
    length = 0;
    return "";
  }
  at += strlen(name);
  length = strcspn(at, "\n");
  return at;
}

Place place_of(const char* path) {
  struct stat status;
  if (stat(path, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

void look(Process& process) {
  read_status(process.status);
  process.root = place_of("/");
  for (int i = 0; i < kNamespaceCount; i++) {
    char path[48];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kNamespaces[i]);
    process.name_space[i] = place_of(path);
  }
}

template <typename Function>
void for_each_descriptor(const Function& function) {
  DIR* const directory = opendir(kDescriptors);
  if (directory == nullptr) return;
  while (const dirent* const entry = readdir(directory)) {
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(directory) && fd < kKnown) function(fd);
  }
  closedir(directory);
}

int complain_of_descriptors() {
  int count = 0;
  for_each_descriptor([&count](int fd) {
    if (was_open[fd]) return;
    char link[40];
    char target[PATH_MAX];
    snprintf(link, sizeof link, "%s/%d", kDescriptors, fd);
    const ssize_t length = readlink(link, target, sizeof target - 1);
    target[length > 0 ? length : 0] = '\0';
    fprintf(stderr, "moonlet: freeze: %s%s left descriptor %d open: %s\n",
            owner[fd][0] != '\0' ? "module " : "the script", owner[fd], fd, target);
    count++;
  });
  return count;
}

int complain_of_process() {
  int count = 0;
  MOONLET_LARGE static Process now;
  look(now);
  for (const char* const name : kLines) {
    size_t old_length;
    size_t new_length;
    const char* const old_line = find_line(before.status, name, old_length);
    const char* const new_line = find_line(now.status, name, new_length);
    if (old_length == new_length && memcmp(old_line, new_line, old_length) == 0) continue;
    fprintf(stderr, "moonlet: freeze: the warm-up changed its process: %s%.*s, was%.*s\n", name,
            static_cast<int>(new_length), new_line, static_cast<int>(old_length), old_line);
    count++;
  }
  if (now.root != before.root) {
    fputs("moonlet: freeze: the warm-up changed its root directory\n", stderr);
    count++;
  }
  for (int i = 0; i < kNamespaceCount; i++) {
    if (now.name_space[i] == before.name_space[i]) continue;
    fprintf(stderr, "moonlet: freeze: the warm-up changed its %s namespace\n", kNamespaces[i]);
    count++;
  }
  return count;
}

// Another thread than this one, or 0.
long find_thread() {
  DIR* const directory = opendir("/proc/self/task");
  if (directory == nullptr) return 0;
  long found = 0;
  while (const dirent* const entry = readdir(directory)) {
    const long thread = atol(entry->d_name);
    if (entry->d_name[0] != '.' && thread != syscall(SYS_gettid)) found = thread;
  }
  closedir(directory);
  return found;
}

int complain_of_threads() {
  constexpr int kTries = 200;  // of a millisecond: a thread that was joined ends a little later
  long thread;
  for (int i = 0; (thread = find_thread()) != 0 && i < kTries; i++) usleep(1000);
  if (thread == 0) return 0;
  fprintf(stderr, "moonlet: freeze: the warm-up left a thread: %ld\n", thread);
  return 1;
}

int complain_of_children() {
  siginfo_t child = {};
  if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) return 0;  // ECHILD
  fputs("moonlet: freeze: the warm-up left a child process, or did not wait for one\n", stderr);
  return 1;
}

int complain_of_timers() {
  static constexpr struct {
    decltype(ITIMER_REAL) which;
    const char* name;
  } kTimers[] = {
      {ITIMER_REAL, "an alarm"}, {ITIMER_VIRTUAL, "a virtual timer"}, {ITIMER_PROF, "a profiling timer"}};
  int count = 0;
  for (const auto& it : kTimers) {
    itimerval left = {};
    if (getitimer(it.which, &left) != 0 || (left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0)) continue;
    fprintf(stderr, "moonlet: freeze: the warm-up left %s running\n", it.name);
    count++;
  }
  char letter;
  const int timers = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);  // with CONFIG_CHECKPOINT_RESTORE
  if (timers >= 0) {
    if (read(timers, &letter, 1) == 1) {
      fputs("moonlet: freeze: the warm-up left a POSIX timer (timer_create)\n", stderr);
      count++;
    }
    close(timers);
  }
  return count;
}

}  // namespace

void remember_process() {
  look(before);
  for_each_descriptor([](int fd) { was_open[fd] = true; });
}

void note_module(const char* name) {
  for_each_descriptor([name](int fd) {
    if (!was_open[fd] && owner[fd][0] == '\0') snprintf(owner[fd], sizeof owner[fd], "%s", name);
  });
}

int complain_of_leftovers() {
  return complain_of_descriptors() + complain_of_threads() + complain_of_children() + complain_of_timers() +
         complain_of_process();
}

}  // namespace moonlet::freeze
