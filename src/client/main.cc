// moonlet: lua that starts as a copy of the warm interpreter that moonletd holds.

#include "base/kernel.h"
#include "client/autostart.h"
#include "client/command_line.h"
#include "client/companion.h"
#include "client/fallback.h"
#include "client/follow.h"
#include "client/request.h"
#include "client/thaw.h"
#include "protocol/autostart.h"
#include "protocol/protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

// Distinguishes this launch's farewell from any other signal; it keeps nothing secret.
uint32_t make_cookie() {
  uint32_t cookie = 0;
  const auto* random = reinterpret_cast<const void*>(getauxval(AT_RANDOM));
  if (random != nullptr) memcpy(&cookie, random, sizeof cookie);
  return cookie;
}

// Sends the request over `socket` and ends as the script ends. Returns if none has started.
void run(int socket, const char* path, const kernel::SignalSet& mask, uint32_t cookie, Refusal& refusal) {
  // Before the request, because what follows it must not fail. Before there is a script to give them to,
  // signals that the caller has blocked are of no interest, nor is the one that is a script's farewell.
  kernel::SignalSet uninteresting = mask;
  uninteresting.add(SIGURG);
  const int signals = kernel::open_signalfd(uninteresting.complement());
  if (signals < 0) {
    refusal = {"open a signalfd for", "", errno};
    return;
  }
  // A zygote that hangs up while it is being told has said why, and cannot have started anything.
  if (send_request(socket, refusal) || refusal.error == EPIPE)
    follow(socket, path, signals, mask, cookie, refusal);
  close(signals);
}

// Runs the script through the zygote and ends as it ends. Returns if no script has started.
void launch_through(const CommandLine& line, const protocol::SocketAddress& address, Refusal& refusal) {
  if (!address.fits) {
    refusal = {"connect", address.un.sun_path, ENAMETOOLONG};
    return;
  }
  const kernel::SignalSet all = kernel::SignalSet::all();
  kernel::SignalSet mask;
  kernel::change_mask(SIG_SETMASK, &all, &mask);
  const uint32_t cookie = make_cookie();
  // Gathered first: what comes after the connect is one message, and the zygote wakes once for both.
  if (gather_request(line.argc, line.argv, mask, cookie, refusal)) {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0 || connect(socket, address.get(), address.size()) != 0) {
      refusal = {"connect", address.un.sun_path, errno};
    } else {
      run(socket, address.un.sun_path, mask, cookie, refusal);
    }
    if (socket >= 0) close(socket);
  }
  if (*refusal.on == '\0') refusal.on = address.un.sun_path;
  kernel::change_mask(SIG_SETMASK, &mask, nullptr);
}

// Runs the script in an image, or through a zygote. Returns if neither is there.
void launch(const CommandLine& line, long* stack, Refusal& refusal) {
  const protocol::SocketToAsk ask = protocol::socket_to_ask(line.socket);
  refusal = {"thaw", "an image", ENOENT, "none is wanted"};
  if (thaw(line, ask.address, stack, refusal)) return;
  const Refusal doubt = refusal;
  launch_through(line, ask.address, refusal);
  if (refusal.error != ENOENT && refusal.error != ECONNREFUSED) return;
  if (ask.is_private) start_moonletd();
  // Nobody serves: then it is the image that counts, if there is one.
  if (doubt.error != ENOENT || doubt.about != nullptr) refusal = doubt;
}

int fail(const Refusal& refusal) {
  print_refusal(refusal);
  return protocol::kOwnFailure;
}

}  // namespace

}  // namespace moonlet::client

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::client;
  if (argc < 1) return protocol::kOwnFailure;  // Linux 5.18 and later see to it that there is a name
  const CommandLine line = read_command_line(argc, argv);
  Refusal refusal;
  if (getauxval(AT_SECURE) != 0) {
    // Whoever has started a program with the privileges of another: none of their variables is read.
    refusal = {"launch", "with raised privileges", EPERM};
    if (line.freezes) return fail(refusal);
  } else if (line.freezes) {
    become_freezer(argv);
  } else if (line.interactive) {
    refusal = {"run", "interactively", 0, "only lua itself can"};
  } else {
    launch(line, reinterpret_cast<long*>(argv) - 1, refusal);
    if (line.rehearses) return fail(refusal);
  }
  fall_back(line.argv, refusal);
}
