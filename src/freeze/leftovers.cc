#include "freeze/leftovers.h"

#include "base/layout.h"
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

void (*observe_leaver)(const char* name) = nullptr;

namespace {

constexpr int kMostThreads = 64;
MOONLET_LARGE const char* makers[kMostThreads];  // of threads; null: the script
int maker_count = 0;
const char* parent = nullptr;  // of the child process that there is
bool has_child = false;

void tell(const char* name) {
  if (observe_leaver != nullptr) observe_leaver(name);
}

int complain(const char* what) {
  tell(nullptr);
  return image::complain("%s", what);
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
  const long thread = find_thread();
  if (thread == 0) return 0;
  if (maker_count == 0 || maker_count > kMostThreads) tell(nullptr);
  for (int i = 0; i < maker_count && i < kMostThreads; i++) tell(makers[i]);
  return image::complain("the warm-up left a thread: %ld", thread);
}

bool find_child() {
  siginfo_t child = {};
  return waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;  // else ECHILD
}

int complain_of_children() {
  if (!find_child()) return 0;
  tell(parent);
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
    tell(nullptr);
    count += image::complain("the warm-up left %s running", it.name);
  }
  char letter;
  const int timers = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);  // with CONFIG_CHECKPOINT_RESTORE
  if (timers >= 0) {
    if (read(timers, &letter, 1) == 1) count += complain("the warm-up left a POSIX timer (timer_create)");
    close(timers);
  }
  return count;
}

int complain_of_fork_handlers() {
  if (image::all_fork_handlers_are_known()) return 0;
  return complain("there are more handlers of pthread_atfork(3) than can be called");
}

}  // namespace

void remember_process() {
#if defined(MOONLET_LAYERS)
  maker_count = 0;  // an image below may have known of threads that are gone
  parent = nullptr;
  has_child = false;
#endif
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

void note_module(const char* name) {
  note_descriptors(name);
  const bool had_child = has_child;
  has_child = find_child();
  if (has_child && !had_child) parent = name;
}

void note_thread_of(const char* name) {
  if (maker_count < kMostThreads) makers[maker_count] = name;
  if (maker_count <= kMostThreads) maker_count++;
}

int complain_of_leftovers() {
  const int changed = complain_of_attributes();
  if (changed != 0) tell(nullptr);
  return changed + complain_of_descriptors() + complain_of_threads() + complain_of_children() +
         complain_of_timers() + complain_of_fork_handlers();
}

}  // namespace moonlet::freeze
