#include "zygote/serve.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "protocol/protocol.h"
#include "zygote/launches.h"
#include "zygote/layer.h"
#include "zygote/listener.h"
#include "zygote/log.h"
#include "zygote/parts.h"
#include "zygote/renewal.h"
#include "zygote/report.h"
#include "zygote/spares.h"
#include "zygote/status.h"
#include "zygote/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

using protocol::ReportKind;

constexpr int kMany = 64;

void refuse(int connection, const ucred& peer, const char* reason) {
  tell_declined(connection, unpack(reason));
  hang_up(connection, peer.uid);
}

// Takes a connection that waits, or refuses it. A child can become another user only if the zygote is root. Who
// has given his socket a name of its own asks for the status. False if there was none to take.
bool accept_one(int listener, Launches& launches, const Spares& spares, const Terms& terms) {
  sockaddr name;
  socklen_t name_bytes = sizeof name;
  const bool is_crowded = kServesOtherUsers && launches.is_crowded();
  const int connection = is_crowded ? -1 : accept4(listener, &name, &name_bytes, SOCK_CLOEXEC);
  if (connection < 0) {
    // Out of descriptors, or of patience: whoever sent nothing yet has waited longest for nothing, and loses
    // nothing, because its client falls back.
    if ((is_crowded || errno == EMFILE || errno == ENFILE) && !launches.drop_idle()) launches.pause();
    return false;
  }
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      (peer.uid != geteuid() && (!kServesOtherUsers || geteuid() != 0))) {
    log_line("refused pid %d: not for user %u", peer.pid, peer.uid);
    launches.counts.declined++;
    refuse(connection, peer, MOONLET_TEXT("this moonletd serves another user"));
    return true;
  }
  if (name_bytes > sizeof(sa_family_t)) {
    launches.counts.spares = spares.waiting();
    answer_status(connection, peer, launches, terms.describe);
    return true;
  }
  if (!launches.add(connection, peer)) refuse(connection, peer, MOONLET_TEXT("not enough memory"));
  return true;
}

// Finds a child for a connection whose request has begun to come: a spare, or a new one. True in the child.
bool fork_for(Launch& launch, const Accepted& accepted, Spares& spares) {
  launch.pid = spares.hand_over(accepted);
  if (launch.pid > 0) return false;
  const pid_t pid = fork();
  if (pid == 0) return true;
  if (pid < 0) {
    log_line("fork for pid %d: %m", launch.peer.pid);
    refuse(accepted.connection, launch.peer, MOONLET_TEXT("moonletd cannot fork: see its log"));
  }
  launch.pid = pid;
  return false;
}

// The client is gone. A script that runs for it dies as it would have died; a child that has not started
// one finds out by itself, and says why. One that has told its client the end ends by itself too.
void end_orphan(const Launch& launch) {
  if (getpgid(launch.pid) != getpgid(0)) kill(launch.pid, SIGKILL);  // become.cc: it started; farewell.cc
}

void end_orphans(Launches& launches) {
  for (int i = launches.next_event(-1); i >= 0; i = launches.next_event(i)) {
    if (launches.at(i).pid <= 0) continue;
    end_orphan(launches.at(i));
    launches.ignore_client(i);
  }
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

// Returns the signal, or 0.
int take_signal(int signals, Launches& launches, Spares& spares) {
  signalfd_siginfo info;
  if (read(signals, &info, sizeof info) != sizeof info) return 0;
  if (info.ssi_signo == SIGCHLD) reap(launches, spares);
  return static_cast<int>(info.ssi_signo);
}

// How long nothing may happen after a change before a new image takes over: editors write in several steps. A
// launch does not wait for that, but a warm-up that changes what it reads shall not keep a processor busy.
int quiet_milliseconds() {
  constexpr uint32_t kMostDoublings = 8;
  return 50 << (handover.idle_renewals < kMostDoublings ? handover.idle_renewals : kMostDoublings);
}

// Whoever asks for a launch after a change gets the new image, or lua: also where files change faster than a
// warm-up reads them.
void renew_for(Launch& launch, int connection, const Launches& launches) {
  constexpr uint32_t kMostInVain = 20;
  if (handover.renewals_in_vain++ < kMostInVain) renew(launches);
  handover.renewals_in_vain = 0;
  refuse(connection, launch.peer, MOONLET_TEXT("moonletd cannot start anew: see its log"));
  launch.pid = -1;
}

// A layer cannot start anew by itself. It makes way for another one: who waits gets lua, whose script runs is
// waited for.
bool retire(Listener& listener, int signals, Launches& launches, Spares& spares) {
  listener.stop();
  launches.close_to_all();
  for (int i = 0; i < launches.count();) {
    if (launches.at(i).pid > 0) {
      i++;
    } else {
      tell_declined(launches.connection(i), unpack(MOONLET_TEXT("its image is being made anew")));
      launches.counts.declined++;
      launches.drop(i);
    }
  }
  layer::outdate(launches);
  layer::part_from_client();
  while (launches.count() > 0) {
    launches.wait(-1);
    if (launches.has_signal()) take_signal(signals, launches, spares);
    end_orphans(launches);
  }
  return false;
}

time_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}

}  // namespace

int open_signals(kernel::SignalSet& before) {
  kernel::SignalSet taken = kernel::SignalSet::of(SIGCHLD);
  taken.add(SIGHUP);
  taken.add(SIGTERM);
  taken.add(SIGINT);
  // SIGPIPE, from a log that nobody reads any more, is blocked rather than ignored: a child has nothing to
  // undo but the mask, which it sets in any case.
  kernel::SignalSet blocked = taken;
  blocked.add(SIGPIPE);
  kernel::change_mask(SIG_BLOCK, &blocked, &before);
  const int signals = kernel::open_signalfd(taken);
  if (signals < 0) {
    fail("signalfd: %m");
  }
  return signals;
}

bool serve(Listener& listener, int signals, const Terms& terms, Accepted& accepted) {
  static Launches launches;
  MOONLET_LARGE static Spares spares;
  launches.begin(listener.get(), signals, watch::descriptor(), terms.max);
  spares.begin(terms.spare);
  restore(launches);
  reap(launches, spares);
  time_t last_launch = 0;
  bool stale = false;     // nobody gets a copy of this image any more
  bool is_asked = false;  // for a new one, which may wait until this one has been of use
  bool has_served = false;
  int forked = 0;
  for (;;) {
    const bool is_due = stale || is_asked;
    int timeout = is_due ? quiet_milliseconds() : spares.delay();
    if (kEndsWhenIdle && terms.idle_exit > 0) {
      if (launches.count() != 0 || last_launch == 0) last_launch = now();
      const time_t left = last_launch + terms.idle_exit - now();
      if (left <= 0) break;
      if (timeout < 0) timeout = static_cast<int>(left) * 1000;
    }
    if (!launches.wait(timeout)) {
      if (is_due) {
        if (layer::is_layer()) return retire(listener, signals, launches, spares);
        renew(launches);
        continue;
      }
      if (spares.delay() < 0) continue;
      const int channel = spares.fork_one();
      if (channel < 0) continue;
      terms.prepare(channel, true);
      accepted = receive_launch(channel);
      return true;
    }
    if (launches.has_signal()) {
      const int signal = take_signal(signals, launches, spares);
      if (signal == SIGTERM || signal == SIGINT) break;
      is_asked |= signal == SIGHUP;
    }
    if (launches.has_change()) stale |= watch::has_changed();
    end_orphans(launches);
    for (int i = launches.next_event(-1); i >= 0; i = launches.next_event(i)) {
      Launch& launch = launches.at(i);
      if (launch.pid > 0) continue;
      if (launches.client_left(i)) {
        launches.drop(i);
      } else {
        accepted = {launches.connection(i), launch.peer};
        stale |= watch::looks_changed() || layer::is_outdated();
        if (stale && layer::is_layer()) return retire(listener, signals, launches, spares);
        if (stale) {
          renew_for(launch, accepted.connection, launches);
        } else if (fork_for(launch, accepted, spares)) {
          terms.prepare(accepted.connection, false);
          return true;
        }
        handover.idle_renewals = handover.renewals_in_vain = 0;
        if (kCountsLaunches && ++forked == terms.reexec_every) is_asked = true;
        has_served = true;
        launches.forked(i);
      }
    }
    if (launches.has_connection()) {
      // Where a supervisor holds a layer's socket, the next one accepts it.
      if (layer::is_layer() && (stale || is_asked || layer::is_outdated()))
        return retire(listener, signals, launches, spares);
      // Where many wait, a turn takes long: whoever comes then must not wait for a turn of each that came
      // before.
      int more = kServesOtherUsers && launches.count() > kMany ? kMany : 1;
      while (accept_one(listener.get(), launches, spares, terms) && --more > 0) continue;
      has_served = true;
    }
    if (is_asked && has_served) {
      if (layer::is_layer()) return retire(listener, signals, launches, spares);
      renew(launches);
      is_asked = false;
    }
  }
  return false;
}

}  // namespace moonlet::zygote
