#include "server/serve.h"

#include "base/clock.h"
#include "child/become.h"
#include "child/log.h"
#include "child/parts.h"
#include "child/report.h"
#include "protocol/protocol.h"
#include "server/bulletin.h"
#include "server/launches.h"
#include "server/listener.h"
#include "server/status.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

using child::Accepted;
using protocol::Declined;
using protocol::ReportKind;

constexpr int kMany = 64;

// `format`: of printf(3), without arguments, but perhaps %m.
void refuse(int connection, const ucred& peer, Bulletin& bulletin, Declined why, const char* format) {
  char reason[128];
  snprintf(reason, sizeof reason, unpack(format), nullptr);
  note_declined(bulletin.refused, why, peer, reason);
  tell_declined(connection, reason);
  hang_up(connection, peer.uid);
}

// Takes a connection that waits, or refuses it. A child can become another user only if the server is root. Who
// has given his socket a name of its own asks for the status. False if there was none to take.
bool accept_one(int listener, Launches& launches, const Image& image) {
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
    refuse(connection, peer, image.bulletin, Declined::kOtherUser,
           MOONLET_TEXT("this moonletd serves another user"));
    return true;
  }
  if (name_bytes > sizeof(sa_family_t)) {
    answer_status(connection, peer, launches, image);
    return true;
  }
  if (!launches.add(connection, peer))
    refuse(connection, peer, image.bulletin, Declined::kResources, MOONLET_TEXT("not enough memory"));
  return true;
}

void hint(int keeper, Hint what) {
  // What does not fit would say nothing new.
  [[maybe_unused]] const ssize_t sent = send(keeper, &what, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Whether a client asks the keeper to look. Why is noted.
bool asks_to_look(int connection, Bulletin& bulletin) {
  char byte = 0;
  if (recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1 || byte != protocol::kLookAgain) return false;
  const ssize_t got = recv(connection, bulletin.unused, sizeof bulletin.unused - 1, MSG_DONTWAIT);
  bulletin.unused[got > 0 ? got : 0] = '\0';
  bulletin.known.unused_at = seconds_since_boot();
  return true;
}

// Forks a child for a connection whose request has begun to come.
void fork_for(Launch& launch, int connection, Bulletin& bulletin) {
  const pid_t pid = fork();
  if (pid == 0) {
    child::leave_server(connection);
    child::become(Accepted{connection, launch.peer});
  }
  if (pid < 0) {
    refuse(connection, launch.peer, bulletin, Declined::kResources, MOONLET_TEXT("moonletd cannot fork: %m"));
  }
  launch.pid = pid;
}

// The client is gone. A script that runs for it dies as it would have died; a child that has not started
// one finds out by itself, and says why.
void end_orphan(const Launch& launch) {
  if (getpgid(launch.pid) != getpgid(0)) kill(launch.pid, SIGKILL);  // become.cc: it started
}

void end_orphans(Launches& launches) {
  for (int i = launches.next_event(-1); i >= 0; i = launches.next_event(i)) {
    if (launches.at(i).pid <= 0) continue;
    end_orphan(launches.at(i));
    launches.ignore_client(i);
  }
}

// Children that ended or stopped. Others than launches answer the status.
void reap(Launches& launches) {
  int status = 0;
  pid_t pid = 0;
  while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
    const int index = launches.find(pid);
    if (index < 0) {
      if (!WIFSTOPPED(status)) status_reaped(pid);
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
  }
}

void take_signal(int signals, Launches& launches) {
  signalfd_siginfo info;
  if (read(signals, &info, sizeof info) == sizeof info) reap(launches);
}

// Whoever waits gets lua; whose script runs is waited for.
void stop(Listener& listener, Launches& launches) {
  listener.close();
  launches.close_to_all();
  for (int i = launches.count() - 1; i >= 0; i--) {
    if (launches.at(i).pid == 0) launches.drop(i);
  }
}

// Requests that have come, and clients that have left before they sent one.
void take_requests(Launches& launches, int keeper, Bulletin& bulletin) {
  for (int i = launches.next_event(-1); i >= 0; i = launches.next_event(i)) {
    Launch& launch = launches.at(i);
    if (launch.pid > 0) continue;
    const int connection = launches.connection(i);
    if (asks_to_look(connection, bulletin)) {
      hint(keeper, Hint::kLook);
      launches.drop(i);
    } else if (launches.client_left(i)) {
      launches.drop(i);
    } else {
      fork_for(launch, connection, bulletin);
      launches.forked(i);
      if (bulletin.hints_at_launch != 0) hint(keeper, Hint::kLaunched);
      bulletin.hints_at_launch = 0;
    }
  }
}

}  // namespace

void serve(Listener& listener, int signals, int keeper, Bulletin& bulletin, const Terms& terms) {
  static Launches launches;
  const Image image = {terms.image, bulletin};
  launches.begin(listener.get(), signals, keeper, terms.max);
  bool is_open = true;
  while (is_open || launches.count() > 0) {
    if (!launches.wait()) continue;
    if (launches.has_signal()) take_signal(signals, launches);
    end_orphans(launches);
    if (is_open && launches.has_lost_keeper()) {
      stop(listener, launches);
      close(keeper);
      is_open = false;
      continue;
    }
    take_requests(launches, keeper, bulletin);
    if (launches.has_connection()) {
      // Where many wait, a turn takes long: whoever comes then must not wait for a turn of each that came
      // before.
      int more = kServesOtherUsers && launches.count() > kMany ? kMany : 1;
      while (accept_one(listener.get(), launches, image) && --more > 0) continue;
    }
  }
}

}  // namespace moonlet::server
