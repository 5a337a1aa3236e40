#include "ctl/follow.h"

#include "base/layout.h"
#include "ctl/request.h"
#include "protocol/script.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

using protocol::Report;
using protocol::ReportKind;
using protocol::Script;
using protocol::signal_script;

// Dies of `signal` itself, so that a shell or supervisor sees what it would have seen. The core, if there
// was to be one, is the script's and already written.
[[noreturn]] void die_of(int signal) {
  prctl(PR_SET_DUMPABLE, 0);
  // The kernel's own default, also where the parent had it ignored.
  kernel::set_default(signal);  // fails for SIGKILL, which needs none
  kill(getpid(), signal);
  const kernel::SignalSet only = kernel::SignalSet::of(signal);
  kernel::change_mask(SIG_UNBLOCK, &only, nullptr);
  _exit(128 + signal);  // a signal that does not kill: the shells' convention
}

// A terminal, and a shell that continues a job, signal a whole process group. The script has one of its
// own, with the programs that it started: it gets what they would have got here.
bool is_meant_for_group(const signalfd_siginfo& info) {
  switch (info.ssi_signo) {
    case SIGCONT:
      return true;  // who stopped it is not known; continuing what runs does nothing
    case SIGINT:
    case SIGQUIT:
    case SIGTSTP:
    case SIGHUP:
    case SIGWINCH:
      return info.ssi_code == SI_KERNEL;
    default:
      return false;
  }
}

// Gives a signal that is pending here to this process itself: until the script has started there is nobody
// else whom it could mean, and what an exec'd lua does in its first moment is what the signal does now.
void take_pending_signals(const kernel::SignalSet& mask) {
  const kernel::SignalSet all = kernel::SignalSet::all();
  kernel::change_mask(SIG_SETMASK, &mask, nullptr);
  kernel::change_mask(SIG_SETMASK, &all, nullptr);
}

// The script has stopped of `signal`: so does its stand-in, under the same signal, for a shell to see.
void stop_with(const Script& script, int signal) {
  kill(getpid(), signal);
  const kernel::SignalSet only = kernel::SignalSet::of(signal);
  kernel::change_mask(SIG_UNBLOCK, &only, nullptr);  // stops in here
  kernel::change_mask(SIG_BLOCK, &only, nullptr);
  // Continued by SIGCONT, which is pending and will be forwarded. If none is, the kernel did not stop this
  // process: in an orphaned process group nobody could continue it, and lua would have run on too.
  kernel::SignalSet pending;
  syscall(SYS_rt_sigpending, &pending, kernel::kSignalSetBytes);
  if (!pending.has(SIGCONT)) signal_script(script, SIGCONT, true);
}

// Passes on one signal that came here.
void take_signal(int signals, const Script& script) {
  signalfd_siginfo info = {};
  if (read(signals, &info, sizeof info) != sizeof info) return;
  // It may just have ended: then its status is on the way, and counts.
  signal_script(script, static_cast<int>(info.ssi_signo), is_meant_for_group(info));
}

// The server is gone, and with it all that could tell how the script ends; its pidfd tells that it has.
[[noreturn]] void follow_alone(int signals, const Script& script) {
  pollfd events[] = {{script.pidfd, POLLIN, 0}, {signals, POLLIN, 0}};
  while (script.pidfd >= 0) {
    poll(events, 2, -1);
    if ((events[1].revents & POLLIN) != 0) {
      take_signal(signals, script);
    } else if (events[0].revents != 0) {
      break;
    }
  }
  fallback::print_refusal({"wait for", "the script", 0, "moonletd is gone, and so is how the script ended"});
  _exit(protocol::kOwnFailure);
}

}  // namespace

void follow(int socket, const char* path, int signals, const kernel::SignalSet& mask,
            fallback::Refusal& refusal) {
  Script script = {socket};
  pollfd events[] = {{socket, POLLIN, 0}, {signals, POLLIN, 0}};
  for (;;) {
    poll(events, 2, -1);  // fails for nothing that another turn would not mend
    if (events[0].revents == 0 && script.pid == 0) take_pending_signals(mask);
    if (events[1].revents != 0 && script.pid != 0) {
      take_signal(signals, script);
      continue;
    }
    if (events[0].revents == 0) continue;
    Report report = {};
    if (!protocol::receive(script, report)) {
      if (script.pid != 0) follow_alone(signals, script);
      refusal = {"launch through", path, 0, "it ended before the script started"};
      return;
    }
    if (!protocol::can_be(report)) continue;
    switch (report.kind) {
      case ReportKind::kStarted:
        script.pid = report.value;
        close_passed_descriptors();
        kernel::open_signalfd(kernel::SignalSet::all(), signals);
        break;
      case ReportKind::kDeclined:
        if (script.pid != 0) break;
        MOONLET_LARGE static protocol::Reason reason;
        refusal = {"launch through", path, 0, protocol::receive_reason(script, report, reason)};
        return;
      case ReportKind::kExited:
        if (script.pid != 0) _exit(report.value);
        break;
      case ReportKind::kKilled:
        if (script.pid != 0) die_of(report.value);
        break;  // the end of the connection follows, and with it the fallback
      case ReportKind::kRuns:
        break;
      case ReportKind::kStopped:
        if (script.pid != 0) stop_with(script, report.value);
        break;
    }
  }
}

}  // namespace moonlet::ctl
