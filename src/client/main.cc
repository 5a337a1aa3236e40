// moonlet: lua that starts as a copy of the warm interpreter that moonletd holds.

#include "client/autostart.h"
#include "client/command_line.h"
#include "client/companion.h"
#include "client/fallback.h"
#include "client/launch.h"
#include "client/thaw.h"
#include "protocol/autostart.h"
#include "protocol/protocol.h"

#include <errno.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

int fail(const Refusal& refusal) {
  print_refusal(refusal);
  return protocol::kOwnFailure;
}

// Looks for an image, and for a zygote. Returns if neither runs the script.
void look(const CommandLine& line, const protocol::SocketToAsk& ask, long* stack, Refusal& refusal) {
  refusal = {"thaw", "an image", ENOENT, "none is wanted"};
  if (thaw(line, ask.address, stack, refusal)) return;
#if defined(MOONLET_SOCKET_CLIENT)
  const Refusal doubt = refusal;
  launch(line, ask.address, refusal);
  if (refusal.error != ENOENT && refusal.error != ECONNREFUSED) return;
  if (ask.is_private) start_moonletd();
  // Nobody serves: then it is the image that counts, if there is one.
  if (doubt.error != ENOENT || doubt.about != nullptr) refusal = doubt;
#endif
}

[[noreturn]] void become_lua(const CommandLine& line, const Refusal& refusal) {
  if (line.descriptor >= 0) close(line.descriptor);
  fall_back(line.argv, refusal);
}

// Runs the script in an image, or through a zygote, or becomes lua.
[[noreturn]] void run(const CommandLine& line, long* stack) {
  const protocol::SocketToAsk ask = protocol::socket_to_ask(line.socket);
  Refusal refusal;  // may be about what is in `ask`
  look(line, ask, stack, refusal);
  if (line.rehearses) _exit(fail(refusal));
  become_lua(line, refusal);
}

}  // namespace

}  // namespace moonlet::client

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::client;
  if (argc < 1) return protocol::kOwnFailure;  // Linux 5.18 and later see to it that there is a name
  const CommandLine line = read_command_line(argc, argv);
  if (getauxval(AT_SECURE) != 0) {
    // Whoever has started a program with the privileges of another: none of their variables is read.
    const Refusal refusal = {"start", "with raised privileges", EPERM};
    if (line.freezes) _exit(fail(refusal));
    become_lua(line, refusal);
  }
  if (line.freezes && line.image != nullptr) freeze_on_image(line, reinterpret_cast<long*>(argv) - 1);
  if (line.freezes) become_freezer(argv);
  if (line.interactive) become_lua(line, {"run", "interactively", 0, "only lua itself can"});
  run(line, reinterpret_cast<long*>(argv) - 1);
}
