#include "ctl/reload.h"

#include "base/kernel.h"
#include "base/unique_fd.h"
#include "ctl/answer.h"
#include "ctl/fail.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

constexpr int kPatienceSeconds = 10;
constexpr int kBetweenLooks = 20;  // milliseconds

// The process that shall reload.
struct Zygote {
  pid_t pid = 0;
  UniqueFd pidfd;        // owns none before Linux 5.3, or where a filter forbids the call
  uint32_t reloads = 0;  // so far
};

// Waits so many milliseconds, or until the zygote has ended, which is true.
bool has_ended(const Zygote& zygote, int milliseconds) {
  pollfd end = {zygote.pidfd.get(), POLLIN, 0};
  return poll(&end, 1, milliseconds) > 0;
}

// A number may be another process' by the time that a signal is sent to it. The one that still serves after it
// was opened, under the same number, is the one that is held.
Zygote find(const protocol::SocketAddress& address) {
  Answer answer;
  Text problem;
  Zygote zygote;
  if (!ask(address, answer, problem)) fail("%s", problem.bytes());
  zygote.pid = answer.pid;
  if (zygote.pid == 0) fail("moonletd is in another pid namespace, where this program cannot signal it");
  zygote.pidfd.reset(kernel::open_pidfd(zygote.pid));
  if (!zygote.pidfd.valid() && errno == ESRCH) fail("moonletd %d has just ended", zygote.pid);
  if (!ask(address, answer, problem)) fail("%s", problem.bytes());
  if (answer.pid != zygote.pid || has_ended(zygote, 0)) fail("moonletd %d has just ended", zygote.pid);
  zygote.reloads = answer.counts.reloads;
  return zygote;
}

bool send_hangup(const Zygote& zygote) {
  if (zygote.pidfd.valid()) return kernel::send_signal(zygote.pidfd.get(), SIGHUP, false) == 0;
  return kill(zygote.pid, SIGHUP) == 0;
}

time_t now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}

int report_failure(const Zygote& zygote, const char* what) {
  fprintf(stderr, "moonletctl: reload moonletd %d: %s\n", zygote.pid, what);
  return EXIT_FAILURE;
}

}  // namespace

int reload(const protocol::SocketAddress& address) {
  const Zygote zygote = find(address);
  if (!send_hangup(zygote)) return report_failure(zygote, strerror(errno));
  const time_t deadline = now() + kPatienceSeconds;
  while (now() < deadline) {
    if (has_ended(zygote, kBetweenLooks)) return report_failure(zygote, "it has ended");
    Answer answer;
    Text problem;  // of one that is just about it: the next look tells
    if (!ask(address, answer, problem) || answer.counts.reloads == zygote.reloads) continue;
    printf("moonletd %d has reloaded: %u modules, %u KB\n", answer.pid, answer.modules.count,
           answer.image.kilobytes);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  return report_failure(zygote, "it has not done so within ten seconds (its log may say why)");
}

}  // namespace moonlet::ctl
