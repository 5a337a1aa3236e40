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

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::client;
  if (argc < 1) return protocol::kOwnFailure;  // Linux 5.18 and later see to it that there is a name
  Refusal refusal = {"run", "interactively", 0, "only lua itself can"};
  const CommandLine line = read_command_line(argc, argv);
  if (line.freezes) become_freezer(argv);
  const protocol::SocketToAsk ask = protocol::socket_to_ask(line.socket);
  [[maybe_unused]] const bool was_asked =
      line.interactive || thaw(line, ask.address, reinterpret_cast<long*>(argv) - 1, refusal);
#if defined(MOONLET_SOCKET_CLIENT)
  if (!was_asked) launch(line, ask.address, refusal);
#endif
  if (line.rehearses) {
    print_refusal(refusal);
    return protocol::kOwnFailure;
  }
#if defined(MOONLET_SOCKET_CLIENT)
  if (ask.is_private && (refusal.error == ENOENT || refusal.error == ECONNREFUSED)) start_moonletd();
#endif
  fall_back(line.argv, refusal);
}
