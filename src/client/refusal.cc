#include "client/refusal.h"

#include <unistd.h>

namespace moonlet::client {

void print_refusal(const Refusal& refusal) {
  const protocol::RefusalText text(refusal);
  iovec line[protocol::RefusalText::kParts + 1];
  memcpy(line, text.part, sizeof text.part);
  line[protocol::RefusalText::kParts] = {const_cast<char*>("\n"), 1};
  // One writev, so that lines of several programs do not mix. stdio would cost more than the client.
  // Nobody is left to tell when standard error itself fails.
  [[maybe_unused]] ssize_t written = writev(STDERR_FILENO, line, sizeof line / sizeof *line);
}

}  // namespace moonlet::client
