#include "ctl/launch.h"

#include "base/kernel.h"
#include "ctl/follow.h"
#include "ctl/request.h"
#include "protocol/trusted.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

// Sends the request over `socket` and ends as the script ends. Returns if none has started.
void run(int socket, const char* path, const kernel::SignalSet& mask, fallback::Refusal& refusal) {
  // Before the request, because what follows it must not fail. Before there is a script to give them to,
  // signals that the caller has blocked are of no interest.
  const int signals = kernel::open_signalfd(mask.complement());
  if (signals < 0) {
    refusal = {"open a signalfd for", "", errno};
    return;
  }
  // A server that hangs up while it is being told has said why, and cannot have started anything.
  if (send_request(socket, refusal) || refusal.error == EPIPE) follow(socket, path, signals, mask, refusal);
  close(signals);
}

}  // namespace

void launch(int argc, char** argv, const protocol::SocketAddress& address, fallback::Refusal& refusal) {
  if (!address.fits) {
    refusal = {"connect", address.un.sun_path, ENAMETOOLONG};
    return;
  }
  const kernel::SignalSet all = kernel::SignalSet::all();
  kernel::SignalSet mask;
  kernel::change_mask(SIG_SETMASK, &all, &mask);
  // Gathered first: what comes after the connect is one message, and the server wakes once for both.
  if (gather_request(argc, argv, mask, refusal)) {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0 || connect(socket, address.get(), address.size()) != 0) {
      refusal = {"connect", address.un.sun_path, errno};
    } else if (!protocol::is_trusted(socket)) {
      refusal = {"launch through", address.un.sun_path, 0, protocol::kNotTrusted};
    } else {
      run(socket, address.un.sun_path, mask, refusal);
    }
    if (socket >= 0) close(socket);
  }
  if (*refusal.on == '\0') refusal.on = address.un.sun_path;
  kernel::change_mask(SIG_SETMASK, &mask, nullptr);
}

}  // namespace moonlet::ctl
