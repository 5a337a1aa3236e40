// moonlet: lua that thaws an image of an interpreter in which all is loaded.

#include "client/command_line.h"
#include "client/companion.h"
#include "client/first_line.h"
#include "client/handed.h"
#include "client/look_again.h"
#include "client/thaw.h"
#include "client/warm.h"
#include "fallback/fallback.h"
#include "protocol/protocol.h"
#include "protocol/socket_path.h"

#include <errno.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

using fallback::Refusal;

int fail(const Refusal& refusal) {
  fallback::print_refusal(refusal);
  return protocol::kOwnFailure;
}

[[noreturn]] void become_lua(const CommandLine& line, const Refusal& refusal) {
  if (line.descriptor >= 0) close(line.descriptor);
  tell_how(0);
  fallback::fall_back(line.argv, refusal);
}

// Runs the script in an image, or becomes lua.
[[noreturn]] void run(const CommandLine& line, long* stack) {
#if defined(MOONLET_WARM)
  tell_of_first_line(line.argv);
#endif
  const protocol::SocketAddress address = protocol::socket_address(line.socket);
  Refusal refusal = {"thaw", "an image", ENOENT, "none is wanted"};
  const Then then = thaw(line, address, stack, refusal);
  if (line.rehearses) _exit(fail(refusal));
  if (then == Then::kTellMoonletd) have_moonletd_look(address, refusal);
#if defined(MOONLET_WARM)
  if (then == Then::kHaveFrozen) have_frozen();
#endif
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
#if defined(MOONLET_LAYERS)
  if (line.freezes && line.image != nullptr) freeze_on_image(line, argv, reinterpret_cast<long*>(argv) - 1);
#endif
  if (line.freezes) become_freezer(argv);
  if (line.interactive) become_lua(line, {"run", "interactively", 0, "only lua itself can"});
  run(line, reinterpret_cast<long*>(argv) - 1);
}
