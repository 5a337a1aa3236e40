#include "ctl/freezer.h"

#include "base/clock.h"
#include "base/kernel.h"
#include "ctl/words.h"
#include "fallback/beside.h"
#include "protocol/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

constexpr int kMostWords = 1000;
constexpr int kMostSeconds = 60;
constexpr size_t kMostOutput = 64 << 10;  // bytes; what is more is thrown away

// "moonlet --freeze PATH WORDS...", null-terminated.
struct CommandLine {
  char* argv[3 + kMostWords + 1];
  char* words;

  CommandLine() = default;
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine() { free(words); }

  // Says what is wrong with the warm-up, or null.
  const char* make(const char* warm_up, const char* path) {
    static char name[] = "moonlet";
    static char option[] = "--freeze";
    memset(argv, 0, sizeof argv);
    argv[0] = name;
    argv[1] = option;
    argv[2] = const_cast<char*>(path);
    words = strdup(warm_up);
    if (words == nullptr || split_words(words, argv + 3, kMostWords) < 0)
      return "a quote or a backslash without end, or more than a thousand words";
    for (char** word = argv + 3; *word != nullptr; word++) {
      if (strncmp(*word, option, sizeof option - 1) == 0) return "--freeze is not for it to choose";
    }
    return nullptr;
  }
};

// In a process group of its own, so that all that it starts can be killed.
pid_t start(char** argv, const kernel::SignalSet& mask) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid != 0) {
    if (pid > 0) setpgid(pid, pid);  // whoever comes first
    return pid;
  }
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody else keeps the time
  if (getppid() != parent) _exit(protocol::kOwnFailure);
  kernel::change_mask(SIG_SETMASK, &mask, nullptr);
  fprintf(stderr, "moonletctl: exec moonlet: %s\n",
          strerror(fallback::exec_beside_or_on_path("moonlet", argv)));
  _exit(protocol::kOwnFailure);
}

// Reads what there is. False at the end.
bool read_some(UniqueFd& from, Text& output) {
  char bytes[4096];
  for (;;) {
    const ssize_t got = read(from.get(), bytes, sizeof bytes);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    const auto size = static_cast<size_t>(got);
    const size_t room = kMostOutput - output.size();
    output.add(bytes, size < room ? size : room);
  }
}

// It keeps its number until it is reaped.
bool has_ended(pid_t child) {
  siginfo_t info = {};
  return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

// Takes the output of `child` until it has ended, which is told by `signals`, or time is over. What it has left
// behind is killed. Returns its wait status, -1 if it had to be killed itself.
int follow(pid_t child, int signals, Terminals& terminals, Text& output) {
  const int64_t deadline = milliseconds_now() + int64_t{kMostSeconds} * 1000;
  UniqueFd* const from = terminals.output();
  bool in_time = true;
  while (!has_ended(child)) {  // looked at first: it may have already
    pollfd events[Terminals::kOutputs + 1];
    for (int i = 0; i < Terminals::kOutputs; i++) events[i] = {from[i].get(), POLLIN, 0};
    events[Terminals::kOutputs] = {signals, POLLIN, 0};
    const int64_t left = deadline - milliseconds_now();
    if (in_time && left <= 0) {
      in_time = false;
      kill(-child, SIGKILL);
    }
    poll(events, Terminals::kOutputs + 1, in_time ? static_cast<int>(left) : -1);
    for (int i = 0; i < Terminals::kOutputs; i++) {
      if (events[i].revents != 0 && !read_some(from[i], output)) from[i].reset();
    }
    char info[128];  // signalfd_siginfo
    if (events[Terminals::kOutputs].revents != 0) (void)!read(signals, info, sizeof info);
  }
  kill(-child, SIGKILL);
  int status = -1;
  waitpid(child, &status, 0);
  for (int i = 0; i < Terminals::kOutputs; i++) {
    if (from[i].valid()) read_some(from[i], output);
  }
  return in_time ? status : -1;
}

}  // namespace

bool freeze(const char* warm_up, const char* path, Terminals& terminals, Text& output) {
  CommandLine line;
  if (const char* problem = line.make(warm_up, path)) {
    output.format("MOONLET_WARM: %s\n", problem);
    return false;
  }
  const kernel::SignalSet end_of_child = kernel::SignalSet::of(SIGCHLD);
  kernel::SignalSet mask;
  kernel::change_mask(SIG_BLOCK, &end_of_child, &mask);
  const UniqueFd signals(kernel::open_signalfd(end_of_child));
  const pid_t child = signals.valid() ? start(line.argv, mask) : -1;
  if (child < 0) {
    output.format("moonletctl: start moonlet: %s\n", strerror(errno));
    return false;
  }
  const int status = follow(child, signals.get(), terminals, output);
  if (status < 0) output.format("moonletctl: it took longer than %d seconds\n", kMostSeconds);
  return status == 0 && access(path, F_OK) == 0;
}

}  // namespace moonlet::ctl
