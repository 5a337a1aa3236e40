#include "child/report.h"

#include "base/hash.h"
#include "child/log.h"
#include "child/parts.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace moonlet {

using protocol::Report;
using protocol::ReportKind;

bool Refused::is_new(const char* reason) {
  const uint32_t its_hash = hash(kHashBasis, reason, strlen(reason));
  const uint32_t bit = 1U << its_hash % 32;
  return (__atomic_fetch_or(&logged[its_hash / 32 % 2], bit, __ATOMIC_RELAXED) & bit) == 0;
}

void tell(int connection, ReportKind kind, int value) {
  const Report report = {kind, value};
  // Nobody else knows how a script was killed: short of memory the kernel is asked again.
  for (int tries = 0; tries < 10; tries++) {
    if (send(connection, &report, sizeof report, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno == EPIPE) return;
  }
}

void tell_declined(int connection, const char* reason) {
  struct {
    Report report;
    char reason[protocol::kMaxReason];
  } message;
  const size_t length = strlen(reason);
  message.report = {ReportKind::kDeclined, static_cast<int>(length)};
  memcpy(message.reason, reason, length);
  // One message: the server's report of this process' end must not come between.
  send(connection, &message, sizeof message.report + length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void note_declined(Refused& refused, protocol::Declined why, const ucred& peer, const char* reason) {
  const bool is_first =
      __atomic_fetch_add(&refused.count[static_cast<uint32_t>(why)], 1, __ATOMIC_RELAXED) == 0;
  // Another user who wanted to could fill the log.
  const bool is_new = kServesOtherUsers && refused.is_new(reason);
  if (is_first || is_new) log_line("request from pid %d, user %u: %s", peer.pid, peer.uid, reason);
}

// With what nobody has read go the descriptors in it. To close the last of a TCP socket takes as long as who
// sent it wants (SO_LINGER, socket(7)), but in a process that ends. Who could kill the server as well is taken
// at his word: a process for each client that gives up would cost more than it is worth.
void hang_up(int connection, uid_t user) {
  pid_t undertaker = 0;
  if (kServesOtherUsers && user != geteuid()) {
    int unread = 0;
    shutdown(connection, SHUT_RD);  // nothing more comes
    ioctl(connection, FIONREAD, &unread);
    if (unread > 0) {
      undertaker = fork();
      if (undertaker == 0) {
        for (;;) pause();
      }
    }
  }
  close(connection);
  if (undertaker > 0) kill(undertaker, SIGKILL);
}

}  // namespace moonlet
