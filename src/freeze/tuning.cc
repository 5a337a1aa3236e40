#include "freeze/tuning.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

bool has_tuned = false;

template <typename Function>
Function note(const char* name) {
  has_tuned = true;
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

bool has_tuned_itself() { return has_tuned; }

}  // namespace moonlet::freeze

// NOLINTBEGIN(bugprone-macro-parentheses,readability-inconsistent-declaration-parameter-name): the arguments
// are lists All of these stand in front of libc's. Most of what a launch does calls none of them.
#define MOONLET_NOTED(name, parameters, arguments)                    \
  extern "C" [[gnu::visibility("default")]] int name parameters {     \
    return moonlet::freeze::note<int(*) parameters>(#name) arguments; \
  }

MOONLET_NOTED(nice, (int by), (by))
MOONLET_NOTED(sched_setscheduler, (pid_t process, int policy, const sched_param* parameter),
              (process, policy, parameter))
MOONLET_NOTED(sched_setparam, (pid_t process, const sched_param* parameter), (process, parameter))
MOONLET_NOTED(sched_setaffinity, (pid_t process, size_t size, const cpu_set_t* set), (process, size, set))
#if defined(__GLIBC__)
MOONLET_NOTED(setpriority, (__priority_which_t which, id_t process, int value), (which, process, value))
MOONLET_NOTED(setrlimit, (__rlimit_resource_t resource, const rlimit* limits), (resource, limits))
MOONLET_NOTED(setrlimit64, (__rlimit_resource_t resource, const rlimit64* limits), (resource, limits))
#else
MOONLET_NOTED(setpriority, (int which, id_t process, int value), (which, process, value))
MOONLET_NOTED(setrlimit, (int resource, const rlimit* limits), (resource, limits))
#endif
// NOLINTEND(bugprone-macro-parentheses,readability-inconsistent-declaration-parameter-name)
