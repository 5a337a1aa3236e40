#include "freeze/tracer.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "freeze/call_filter.h"
#include "freeze/traced_questions.h"
#include "freeze/tracee.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

namespace {

using Request = decltype(PTRACE_CONT);

constexpr int kCallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

pid_t warm_up;

// What was sent to this process is for the warm-up, whose place it has. What a terminal sends comes to both.
void pass_on(int signal, siginfo_t* about, void*) {
  const int error = errno;
  if (about->si_code <= 0) kill(warm_up, signal);
  errno = error;
}

void pass_signals_on() {
  struct sigaction action = {};
  action.sa_sigaction = pass_on;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  constexpr int kPassed[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM};
  for (const int signal : kPassed) {
    struct sigaction old;
    if (sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

[[noreturn]] void end_like(int status) {
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  constexpr rlimit kNoCore = {0, 0};  // the warm-up has left one, if any
  setrlimit(RLIMIT_CORE, &kNoCore);
  kernel::set_default(signal);
  const auto only = kernel::SignalSet::of(signal);
  kernel::change_mask(SIG_UNBLOCK, &only, nullptr);
  kill(static_cast<pid_t>(syscall(SYS_getpid)), signal);
  _exit(128 + signal);
}

void wake(uint32_t* word, TracerState state) {
  __atomic_store_n(word, static_cast<uint32_t>(state), __ATOMIC_RELEASE);
  syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

bool is_group_stop(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

class Tracer {
 public:
  explicit Tracer(Log* log) : log_(log) {}

  // One report of waitpid(2) about a process that has stopped: it goes on.
  void handle(pid_t pid, int status) {
    Tracee* tracee = find(pid);
    const int signal = WSTOPSIG(status);
    Request how = goes_on();
    int deliver = 0;
    switch (status >> 16) {
      case PTRACE_EVENT_SECCOMP:
        ask(tracee);
        break;
      case PTRACE_EVENT_FORK:
      case PTRACE_EVENT_VFORK:
      case PTRACE_EVENT_CLONE:
        add_child_of(tracee);
        break;
      case PTRACE_EVENT_EXEC:
        tracee->is_at_entry = true;
        if (tracee->is_child && !is_over()) has_executed(log_, tracee);
        break;
      case PTRACE_EVENT_STOP:
        if (is_group_stop(signal)) how = PTRACE_LISTEN;
        break;
      default:
        if (signal != kCallStop) {
          deliver = signal;
          break;
        }
        tracee->is_at_entry = !tracee->is_at_entry;
        if (tracee->is_at_entry && log_->state == static_cast<uint32_t>(TracerState::kEachCall)) ask(tracee);
    }
    ptrace(how, pid, nullptr, static_cast<long>(deliver));
  }

  void has_ended(pid_t pid) {
    Tracee* tracee = find(pid);
    if (tracee->is_child && !tracee->has_executed && !is_over())
      log_->add_problem(Matter::kChildProcess, "a copy of it");
    tracee->pid = 0;
  }

  // They would be the next warm-up's.
  void kill_all() {
    for (const Tracee& tracee : tracees_) {
      int status = 0;
      if (tracee.pid == 0 || kill(tracee.pid, SIGKILL) != 0) continue;
      while (waitpid(tracee.pid, &status, __WALL) == tracee.pid && WIFSTOPPED(status)) {
      }
    }
  }

  Tracee* find(pid_t pid) {
    Tracee* free = &spare_;
    for (Tracee& tracee : tracees_) {
      if (tracee.pid == pid) return &tracee;
      if (tracee.pid == 0) free = &tracee;
    }
    *free = {};
    free->pid = free->process = pid;
    return free;
  }

 private:
  // Until the warm-up has its filter, or knows that it gets none, each call stops it.
  [[nodiscard]] Request goes_on() const {
    return log_->state == static_cast<uint32_t>(TracerState::kFiltering) ? PTRACE_CONT : PTRACE_SYSCALL;
  }
  [[nodiscard]] bool is_over() const { return __atomic_load_n(&log_->is_over, __ATOMIC_ACQUIRE) != 0; }

  void ask(Tracee* tracee) {
    CallMade call;
    if (!is_over() && read_call(tracee->pid, &call)) ask_as(log_, tracee, call);
  }

  void add_child_of(Tracee* parent) {
    unsigned long pid = 0;
    if (ptrace(PTRACE_GETEVENTMSG, parent->pid, nullptr, &pid) != 0) return;
    const Tracee its = *parent;
    Tracee* child = find(static_cast<pid_t>(pid));
    child->has_moved = its.has_moved;
    // A thread is one of its process' own.
    if (syscall(SYS_tgkill, its.process, child->pid, 0) == 0) {
      child->process = its.process;
      child->is_child = its.is_child;
    } else {
      child->is_child = true;
    }
  }

  Log* log_;
  Tracee tracees_[512] = {};
  Tracee
      spare_;  // for those above that: they are recorded all the same, but where they have moved is forgotten
};

[[noreturn]] void trace(Log* log, pid_t pid) {
  MOONLET_LARGE static Tracer tracer(log);
  tracer.find(pid);
  for (;;) {
    int status;
    const pid_t reported = waitpid(-1, &status, __WALL);
    if (reported < 0 && errno == EINTR) continue;
    if (reported < 0) _exit(1);  // it cannot be gone without a report
    if (WIFSTOPPED(status)) {
      tracer.handle(reported, status);
    } else if (reported == pid) {
      if (log->again != nullptr) {
        tracer.has_ended(reported);
        tracer.kill_all();
        execve("/proc/self/exe", log->again, log->environment);
      }
      end_like(status);  // what it has left running dies with this process: PTRACE_O_EXITKILL
    } else {
      tracer.has_ended(reported);
    }
  }
}

// The warm-up's side.
void wait_for_tracer(Log* log) {
  constexpr auto kUnknown = static_cast<uint32_t>(TracerState::kUnknown);
  while (__atomic_load_n(&log->state, __ATOMIC_ACQUIRE) == kUnknown)
    syscall(SYS_futex, &log->state, FUTEX_WAIT, kUnknown, nullptr, nullptr, 0);
  const bool filters = log->options.tracing != Tracing::kEachCall && set_call_filter();
  const auto state = filters ? TracerState::kFiltering : TracerState::kEachCall;
  __atomic_store_n(&log->state, static_cast<uint32_t>(state), __ATOMIC_RELEASE);
}

}  // namespace

bool fork_traced(Log* log) {
  if (!kCanTrace || log->options.tracing == Tracing::kNone) return false;
  const auto parent = static_cast<pid_t>(syscall(SYS_getpid));
  const pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) {
    // Until it is traced, and so ends with its tracer (PTRACE_O_EXITKILL).
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(EXIT_FAILURE);
    wait_for_tracer(log);
    prctl(PR_SET_PDEATHSIG, 0);
    return true;
  }
  warm_up = pid;
  constexpr long kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD |
                            PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  if (ptrace(PTRACE_SEIZE, pid, nullptr, kOptions) != 0 ||
      ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0) {
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return false;
  }
  pass_signals_on();
  wake(&log->state, TracerState::kAttached);
  trace(log, pid);
}

}  // namespace moonlet::freeze::questions
