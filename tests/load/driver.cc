#include "driver.h"

#include "fail.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>

namespace moonlet::load {

namespace {

constexpr int kPatienceMs = 60000;
constexpr uint64_t kShownFailures = 20;
constexpr size_t kShownBytes = 200;

int64_t now_us() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

bool is_sometime(const Launch& launch) {
  return launch.kind->deed == Deed::kKillSometime || launch.kind->deed == Deed::kTerminateSometime;
}

void open_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe: %s", strerror(errno));
}

void close_once(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

int expected_status(const Kind& kind, uint64_t number) {
  const int status = kind.status == kOfNumber ? static_cast<int>(number % 256) : kind.status;
  return W_EXITCODE(status, kind.signal);
}

bool is_right(const Launch& launch) {
  if (launch.garbled || launch.stops != launch.kind->stops) return false;
  const int status = launch.status & ~0x80;  // of a core
  const uint64_t lines = lines_of(*launch.kind, launch.line);
  const bool whole = launch.written == lines * launch.line.size();
  if (is_sometime(launch)) {
    // Too late, it has its end as ever; before, it may have written or not.
    const int natural = W_EXITCODE(launch.number % 256, 0);
    if (WIFEXITED(status)) return whole && (status == 0 || status == natural);
    return status == expected_status(*launch.kind, launch.number) && (launch.written == 0 || whole);
  }
  if (launch.kind->lines == Lines::kEndless) return status == expected_status(*launch.kind, launch.number);
  return whole && status == expected_status(*launch.kind, launch.number);
}

}  // namespace

Driver::Driver(const std::string& programs, std::string directory)
    : moonletctl_(programs + "/moonletctl"), moonlet_(programs + "/moonlet"), directory_(std::move(directory)) {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&taken, signal);
  sigprocmask(SIG_BLOCK, &taken, nullptr);
  signals_ = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
  events_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {EPOLLIN, {nullptr}};
  epoll_ctl(events_, EPOLL_CTL_ADD, signals_, &event);
  int index = 0;
  for (const auto kinds : {mixed_kinds(), crowd_kinds()}) {
    for (const Kind& kind : kinds) {
      const std::string path = directory_ + "/" + std::to_string(index++) + ".lua";
      std::ofstream(path) << kind.script << "\n";
      scripts_[&kind] = path;
    }
  }
}

void Driver::start(const Kind& kind, Way way, uint64_t number, Moonletd& moonletd, Random& random) {
  auto launch = std::make_unique<Launch>();
  launch->kind = &kind;
  launch->way = way;
  launch->number = number;
  launch->line = line_of(kind, number);
  int input[2], output[2];
  open_pipe(input);
  open_pipe(output);
  launch->input = input[1];
  launch->output = output[0];

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const std::string argument = std::to_string(number);
  const std::string& script = scripts_[&kind];
  const std::string image = "--image=" + moonletd.image();
  const char* forked[] = {"moonletctl", "run", "--argv0=lua", script.c_str(), argument.c_str(), nullptr};
  const char* thawed[] = {"lua", image.c_str(), script.c_str(), argument.c_str(), nullptr};
  const std::string& program = way == Way::kForked ? moonletctl_ : moonlet_;
  const int error =
      posix_spawn(&launch->pid, program.c_str(), &actions, &attributes,
                  const_cast<char**>(way == Way::kForked ? forked : thawed), moonletd.environment());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) fail("run %s: %s", program.c_str(), strerror(error));
  close(input[0]);
  close(output[1]);

  epoll_event event = {EPOLLIN, {launch.get()}};
  epoll_ctl(events_, EPOLL_CTL_ADD, launch->output, &event);
  if (is_sometime(*launch)) {
    launch->when_us = now_us() + static_cast<int64_t>(random.below(1500));
    sometime_.push_back(launch.get());
  }
  launches_[launch->pid] = std::move(launch);
}

void Driver::close_output(Launch& launch) {
  // By name: a launch that is just being started may have the pipe open until its exec is over, and close()
  // alone would leave it among the events for as long.
  epoll_ctl(events_, EPOLL_CTL_DEL, launch.output, nullptr);
  close_once(launch.output);
}

void Driver::do_deed(Launch& launch) {
  if (launch.done) return;
  launch.done = true;
  switch (launch.kind->deed) {
    case Deed::kNothing:
      break;
    case Deed::kEndInput:
      close_once(launch.input);
      break;
    case Deed::kKill:
    case Deed::kKillSometime:
      if (!launch.reaped) kill(launch.pid, SIGKILL);
      break;
    case Deed::kTerminate:
    case Deed::kTerminateSometime:
      if (!launch.reaped) kill(launch.pid, SIGTERM);
      break;
    case Deed::kCloseReader:
      close_output(launch);
      break;
  }
}

void Driver::do_due_deeds() {
  if (holding_ || sometime_.empty()) return;
  const int64_t now = now_us();
  std::erase_if(sometime_, [&](Launch* launch) {
    if (launch->when_us > now) return false;
    do_deed(*launch);
    return true;
  });
}

void Driver::release(Random& random) {
  holding_ = false;
  std::vector<Launch*> order;
  for (const auto& [pid, launch] : launches_) order.push_back(launch.get());
  std::sort(order.begin(), order.end(), [](Launch* a, Launch* b) { return a->number < b->number; });
  for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random.below(i)]);
  for (Launch* launch : order) {
    if (launch->written > 0 || is_sometime(*launch)) do_deed(*launch);
  }
  sometime_.clear();
}

int Driver::writing() const {
  return static_cast<int>(
      std::count_if(launches_.begin(), launches_.end(), [](const auto& it) { return it.second->written > 0; }));
}

Tally Driver::tally(const Kind& kind, Way way) const {
  const auto found = tallies_.find({&kind, way});
  return found == tallies_.end() ? Tally{} : found->second;
}

uint64_t Driver::wrong() const {
  uint64_t wrong = 0;
  for (const auto& [kind, tally] : tallies_) wrong += tally.wrong;
  return wrong;
}

void Driver::read_output(Launch& launch) {
  const ssize_t got = read(launch.output, buffer_.data(), buffer_.size());
  if (got <= 0) {
    close_output(launch);
    return;
  }
  // A line that comes twice is a script that ran twice; one of another number a launch that got another's
  // output.
  const size_t size = launch.line.size();
  if (launch.beginning.size() < kShownBytes)
    launch.beginning.append(buffer_.data(), std::min(static_cast<size_t>(got), kShownBytes));
  for (ssize_t i = 0; i < got; i++) {
    if (buffer_[static_cast<size_t>(i)] != launch.line[(launch.written + static_cast<uint64_t>(i)) % size])
      launch.garbled = true;
  }
  launch.written += static_cast<uint64_t>(got);
  if (launch.written >= size && !holding_ && !is_sometime(launch)) do_deed(launch);
}

bool Driver::reap() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
    const auto found = launches_.find(pid);
    if (found == launches_.end()) {
      std::printf("Process %d, which is no launch, has ended: status 0x%x\n", pid, status);
      return false;
    }
    Launch& launch = *found->second;
    if (WIFSTOPPED(status)) {
      launch.stops++;
      kill(pid, SIGCONT);
      continue;
    }
    launch.reaped = true;
    launch.status = status;
    if (launch.output < 0) finish(launch);
  }
  return true;
}

void Driver::finish(Launch& launch) {
  Tally& tally = tallies_[{launch.kind, launch.way}];
  tally.launches++;
  if (!is_right(launch)) {
    tally.wrong++;
    if (wrong() <= kShownFailures) {
      std::printf(
          "WRONG: launch %lu (%s, %s): wait status 0x%x, %lu bytes of output%s, %d stops; expected 0x%x\n",
          launch.number, launch.kind->name, launch.way == Way::kForked ? "forked" : "thawed", launch.status,
          launch.written, launch.garbled ? ", garbled" : "", launch.stops,
          expected_status(*launch.kind, launch.number));
      if (launch.garbled) std::printf("  %s\n", launch.beginning.c_str());
    }
  }
  close_once(launch.input);
  std::erase(sometime_, &launch);
  launches_.erase(launch.pid);
}

bool Driver::step() {
  epoll_event events[64];
  int patience = kPatienceMs;
  if (!holding_ && !sometime_.empty()) patience = 1;
  const int count = epoll_wait(events_, events, 64, patience);
  do_due_deeds();
  if (count == 0 && patience == kPatienceMs) {
    for (const auto& [pid, launch] : launches_)
      std::printf("LOST: launch %lu (%s), pid %d: %s\n", launch->number, launch->kind->name, pid,
                  launch->reaped ? "its output does not end" : "it does not end");
    return false;
  }
  bool child = false;
  for (int i = 0; i < count; i++) {
    auto* launch = static_cast<Launch*>(events[i].data.ptr);
    if (launch == nullptr) {
      signalfd_siginfo info;
      while (read(signals_, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
          std::printf("Interrupted by signal %u\n", info.ssi_signo);
          return false;
        }
        child = true;
      }
      continue;
    }
    read_output(*launch);
    if (launch->output < 0 && launch->reaped) finish(*launch);
  }
  return !child || reap();  // last: it frees launches
}

void Driver::end_all() {
  for (const auto& [pid, launch] : launches_) {
    if (!launch->reaped) kill(pid, SIGKILL);
    // The moonletd kills the script; if it is gone itself, the script ends by these.
    close_once(launch->input);
    close_once(launch->output);
  }
}

}  // namespace moonlet::load
