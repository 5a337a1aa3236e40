#include "protocol/reload.h"

#include "base/kernel.h"
#include "base/unique_fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::protocol {

namespace {

constexpr int kPatienceSeconds = 10;
constexpr int kBetweenLooks = 20;  // milliseconds

// The process that shall reload.
struct Server {
  pid_t pid = 0;
  UniqueFd pidfd;      // owns none before Linux 5.3, or where a filter forbids the call
  uint32_t ended = 0;  // warm-ups, so far; with one that runs now
};

uint32_t ended_warm_ups(const Answer& answer) { return answer.known.images + answer.known.failures; }

// Waits so many milliseconds, or until the server has ended, which is true.
bool has_ended(const Server& server, int milliseconds) {
  pollfd end = {server.pidfd.get(), POLLIN, 0};
  return poll(&end, 1, milliseconds) > 0;
}

// A number may be another process' by the time that a signal is sent to it. The one that still serves after it
// was opened, under the same number, is the one that is held.
bool find(const SocketAddress& address, Server& server, Answer& answer, Problem& problem) {
  if (!ask(address, answer, problem)) return false;
  problem = {};
  server.pid = answer.pid;
  if (server.pid == 0) {
    problem.add("moonletd is in another pid namespace, from where it cannot be signalled");
    return false;
  }
  server.pidfd.reset(kernel::open_pidfd(server.pid));
  const bool is_gone = !server.pidfd.valid() && errno == ESRCH;
  if (!is_gone && !ask(address, answer, problem)) return false;
  problem = {};
  if (is_gone || answer.pid != server.pid || has_ended(server, 0)) {
    problem.add("moonletd %d has just ended", server.pid);
    return false;
  }
  server.ended = ended_warm_ups(answer) + answer.known.is_making;
  return true;
}

bool send_hangup(const Server& server) {
  if (server.pidfd.valid()) return kernel::send_signal(server.pidfd.get(), SIGHUP, false) == 0;
  return kill(server.pid, SIGHUP) == 0;
}

time_t now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}

// Returns null when it has.
const char* reload(const Server& server, const SocketAddress& address, Answer& answer) {
  if (!send_hangup(server)) return strerror(errno);
  time_t deadline = now() + kPatienceSeconds;
  while (now() < deadline) {
    if (has_ended(server, kBetweenLooks)) return "it has ended";
    Problem problem;  // of one that is just about it: the next look tells
    const bool is_told = ask(address, answer, problem);
    if (is_told && ended_warm_ups(answer) > server.ended)
      return answer.known.is_failing != 0 ? answer.error : nullptr;
    if (is_told && answer.known.is_making != 0) deadline = now() + kPatienceSeconds;
  }
  return "it has not done so within ten seconds (its log may say why)";
}

}  // namespace

Reload reload(const SocketAddress& address, Answer& answer, Problem& problem) {
  Server server;
  if (!find(address, server, answer, problem)) return Reload::kNotAsked;
  const char* why = reload(server, address, answer);
  if (why == nullptr) return Reload::kDone;
  problem.add("reload moonletd %d: %s", server.pid, why);
  return Reload::kNotDone;
}

}  // namespace moonlet::protocol
