#include "zygote/serve.h"

#include "base/kernel.h"
#include "protocol/protocol.h"
#include "zygote/launches.h"
#include "zygote/log.h"
#include "zygote/report.h"
#include "zygote/spares.h"
#include "zygote/status.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

using protocol::ReportKind;

void refuse(int connection, const char* reason) {
  tell_declined(connection, reason);
  close(connection);
}

// Takes a connection that waits, or refuses it. A child can become another user only if the zygote is root. Who
// has given his socket a name of its own asks for the status.
void accept_one(int listener, Launches& launches, const Spares& spares, const Terms& terms) {
  sockaddr name;
  socklen_t name_bytes = sizeof name;
  const int connection = accept4(listener, &name, &name_bytes, SOCK_CLOEXEC);
  if (connection < 0) {
    // Out of descriptors: whoever sent nothing yet has waited longest for nothing, and loses nothing,
    // because its client falls back.
    if ((errno == EMFILE || errno == ENFILE) && !launches.drop_idle()) launches.pause();
    return;
  }
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      (peer.uid != geteuid() && geteuid() != 0)) {
    log_line("refused pid %d: not for user %u", peer.pid, peer.uid);
    launches.counts.declined++;
    refuse(connection, "this moonletd serves another user");
    return;
  }
  if (name_bytes > sizeof(sa_family_t)) {
    launches.counts.spares = spares.waiting();
    answer_status(connection, launches, terms.describe);
    return;
  }
  if (!launches.add(connection, peer)) refuse(connection, "not enough memory");
}

// Finds a child for a connection whose request has begun to come: a spare, or a new one. True in the child.
bool fork_for(Launch& launch, const Accepted& accepted, Spares& spares) {
  launch.pid = spares.hand_over(accepted);
  if (launch.pid > 0) return false;
  const pid_t pid = fork();
  if (pid == 0) return true;
  if (pid < 0) {
    log_line("fork for pid %d: %m", launch.peer.pid);
    refuse(accepted.connection, "moonletd cannot fork: see its log");
  }
  launch.pid = pid;
  return false;
}

// The client is gone. A script that runs for it dies as it would have died; a child that has not started
// one finds out by itself, and says why. One that has told its client the end ends by itself too.
void end_orphan(const Launch& launch) {
  if (getpgid(launch.pid) != getpgid(0)) kill(launch.pid, SIGKILL);  // become.cc: it started; farewell.cc
}

// Children that ended or stopped. Others than launches and spares are what the warm-up left running.
void reap(Launches& launches, Spares& spares) {
  int status = 0;
  pid_t pid = 0;
  while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
    const int index = launches.find(pid);
    if (index < 0) {
      if (!WIFSTOPPED(status) && !spares.reaped(pid)) status_reaped(pid);
      continue;
    }
    const int connection = launches.connection(index);
    if (WIFSTOPPED(status)) {
      tell(connection, ReportKind::kStopped, WSTOPSIG(status));
      continue;
    }
    if (WIFEXITED(status)) tell(connection, ReportKind::kExited, WEXITSTATUS(status));
    if (WIFSIGNALED(status)) tell(connection, ReportKind::kKilled, WTERMSIG(status));
    launches.end(index, status);
    spares.hurry();
  }
}

// True if it is time to stop.
bool take_signal(int signals, Launches& launches, Spares& spares) {
  signalfd_siginfo info;
  if (read(signals, &info, sizeof info) != sizeof info) return false;
  if (info.ssi_signo != SIGCHLD) return true;
  reap(launches, spares);
  return false;
}

}  // namespace

int open_signals() {
  kernel::SignalSet taken = kernel::SignalSet::of(SIGCHLD);
  taken.add(SIGTERM);
  taken.add(SIGINT);
  // SIGPIPE, from a log that nobody reads any more, is blocked rather than ignored: a child has nothing to
  // undo but the mask, which it sets in any case.
  kernel::SignalSet blocked = taken;
  blocked.add(SIGPIPE);
  kernel::change_mask(SIG_BLOCK, &blocked, nullptr);
  const int signals = kernel::open_signalfd(taken);
  if (signals < 0) {
    fail("signalfd: %m");
  }
  return signals;
}

bool serve(int listener, int signals, const Terms& terms, Accepted& accepted) {
  static Launches launches;
  static Spares spares;
  launches.begin(listener, signals, terms.max);
  spares.want(terms.spare);
  for (;;) {
    if (!launches.wait(spares.delay())) {
      const int channel = spares.fork_one();
      if (channel < 0) continue;
      terms.prepare(channel, true);
      accepted = receive_launch(channel);
      return true;
    }
    if (launches.has_signal() && take_signal(signals, launches, spares)) break;
    for (int i = launches.next_event(-1); i >= 0; i = launches.next_event(i)) {
      Launch& launch = launches.at(i);
      if (launch.pid > 0) {
        end_orphan(launch);
        launches.ignore_client(i);
      } else if (launches.client_left(i)) {
        log_line("pid %d left before its request was read", launch.peer.pid);
        launches.drop(i);
      } else {
        accepted = {launches.connection(i), launch.peer};
        if (fork_for(launch, accepted, spares)) {
          terms.prepare(accepted.connection, false);
          return true;
        }
        launches.forked(i);
      }
    }
    if (launches.has_connection()) accept_one(listener, launches, spares, terms);
  }
  return false;
}

}  // namespace moonlet::zygote
