// A script that was asked for, as the client's side of the connection knows it.
#pragma once

#include "base/descriptor_message.h"
#include "protocol/protocol.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

namespace moonlet::protocol {

struct Script {
  int connection;
  pid_t pid = 0;   // 0: it has not said that it started
  int pidfd = -1;  // -1: the kernel has none
};

/// Reads one report, and into `script` the pidfd that comes with it. False at the end of the connection.
inline bool receive(Script& script, Report& report) {
  ssize_t got = 0;
  // Who takes a failure (ENOMEM, EINTR) for the end may run a script that has started once more.
  do {
    got = DescriptorMessage::receive(script.connection, &report, sizeof report, script.pidfd);
  } while (got < 0 && (errno == EINTR || errno == ENOMEM));
  return got == sizeof report;  // sent whole, and too small for the kernel to split
}

/// False for a report that is none, like one of a kind that this side does not know: its value would go where a
/// pid or the number of a signal does.
inline bool can_be(const Report& report) {
  if (report.kind == ReportKind::kStarted) return report.value > 1;
  if (report.kind == ReportKind::kKilled || report.kind == ReportKind::kStopped)
    return report.value >= 1 && report.value <= kernel::kLastSignal;
  return true;
}

/// Room for the reason that follows kDeclined, and its end.
using Reason = char[kMaxReason + 1];

/// Reads that reason, and returns it as text.
inline const char* receive_reason(const Script& script, const Report& declined, Reason& reason) {
  const bool fits = declined.value >= 0 && declined.value <= kMaxReason;
  const ssize_t got =
      recv(script.connection, reason, fits ? static_cast<size_t>(declined.value) : 0, MSG_WAITALL);
  reason[got > 0 ? got : 0] = '\0';
  return reason;
}

/// Sends `signal` to the script, or to its process group. Returns 0, or -1 and errno.
inline long signal_script(const Script& script, int signal, bool group) {
  const long sent = kernel::send_signal(script.pidfd, signal, group);
  if (sent == 0) return sent;
  // By number before Linux 5.3, or 6.9 for a group, or where a filter forbids the call: while the script lives,
  // its number is no other's. Without a pidfd the connection tells, which hangs up when the server has reaped
  // the script or, if the server is gone, at the script's end.
  pollfd end = {script.connection, 0, 0};
  if (script.pidfd >= 0) end = {script.pidfd, POLLIN, 0};
  if (poll(&end, 1, 0) != 0) return sent;
  return kill(group ? -script.pid : script.pid, signal);
}

}  // namespace moonlet::protocol
