#include "freeze/leftovers.h"

#include "freeze/attributes.h"
#include "freeze/descriptors.h"
#include "image/complain.h"
#include "image/fork_handlers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

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
  const long thread = find_thread();
  return thread == 0 ? 0 : image::complain("the warm-up left a thread: %ld", thread);
}

int complain_of_children() {
  siginfo_t child = {};
  if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) return 0;  // ECHILD
  return image::complain("the warm-up left a child process, or did not wait for one");
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
    count += image::complain("the warm-up left %s running", it.name);
  }
  char letter;
  const int timers = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);  // with CONFIG_CHECKPOINT_RESTORE
  if (timers >= 0) {
    if (read(timers, &letter, 1) == 1)
      count += image::complain("the warm-up left a POSIX timer (timer_create)");
    close(timers);
  }
  return count;
}

int complain_of_fork_handlers() {
  if (image::all_fork_handlers_are_known()) return 0;
  return image::complain("there are more handlers of pthread_atfork(3) than can be called");
}

}  // namespace

void remember_process() {
  remember_descriptors();
  remember_attributes();
}

bool has_left_threads() {
  constexpr int kTries = 200;  // of a millisecond: a thread that was joined ends a little later
  for (int i = 0; find_thread() != 0; i++) {
    if (i == kTries) return true;
    usleep(1000);
  }
  return false;
}

void note_module(const char* name) { note_descriptors(name); }

int complain_of_leftovers() {
  return complain_of_descriptors() + complain_of_threads() + complain_of_children() + complain_of_timers() +
         complain_of_fork_handlers() + complain_of_attributes();
}

}  // namespace moonlet::freeze
