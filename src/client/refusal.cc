#include "client/refusal.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

iovec part(const char* text) { return {const_cast<char*>(text), strlen(text)}; }

}  // namespace

void print_refusal(const Refusal& refusal) {
  const char* reason = refusal.reason != nullptr ? refusal.reason : strerror(refusal.error);
  const bool nobody_listens =
      strcmp(refusal.doing, "connect") == 0 && (refusal.error == ENOENT || refusal.error == ECONNREFUSED);
  // One writev, so that lines of several programs do not mix. stdio would cost more than the client.
  const iovec line[] = {part("moonlet: "),
                        part(refusal.doing),
                        part(*refusal.on != '\0' ? " " : ""),
                        part(refusal.on),
                        part(": "),
                        part(reason),
                        part(nobody_listens ? " (is moonletd running?)\n" : "\n")};
  // Nobody is left to tell when standard error itself fails.
  [[maybe_unused]] ssize_t written = writev(STDERR_FILENO, line, sizeof line / sizeof *line);
}

}  // namespace moonlet::client
