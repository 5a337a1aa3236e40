#include "client/companion.h"

#include "fallback/beside.h"
#include "fallback/refusal.h"
#include "image/start.h"
#include "protocol/protocol.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

namespace moonlet::client {

int execute_companion(char** argv) { return fallback::exec_beside_or_on_path("moonletctl", argv); }

void become_companion(char** argv) {
  fallback::print_refusal({"exec moonletctl", "(beside moonlet, or on PATH)", execute_companion(argv)});
  _exit(protocol::kOwnFailure);
}

void become_freezer(char** argv) {
  char path[fallback::kBesideRoom];
  image::Doubt doubt = {"moonlet-lua", nullptr, ENOENT};
  if (fallback::find_beside("moonlet-lua", path))
    doubt = image::start(path, reinterpret_cast<uintptr_t>(argv) - sizeof(long));
  fallback::print_refusal({"start", doubt.path, doubt.error, doubt.reason});
  _exit(protocol::kOwnFailure);
}

}  // namespace moonlet::client
