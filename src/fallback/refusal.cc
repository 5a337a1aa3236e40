#include "fallback/refusal.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::fallback {

namespace {

// One writev, so that lines of several programs do not mix. stdio would cost more than the client.
void write_line(const iovec* parts, int count) {
  // Nobody is left to tell when standard error itself fails.
  [[maybe_unused]] ssize_t written = writev(STDERR_FILENO, parts, count);
}

iovec as_part(const char* text) { return {const_cast<char*>(text), strlen(text)}; }

}  // namespace

void print_refusal(const Refusal& refusal) {
  const protocol::RefusalText text(refusal);
  iovec line[protocol::RefusalText::kParts + 1];
  memcpy(line, text.part, sizeof text.part);
  line[protocol::RefusalText::kParts] = as_part("\n");
  write_line(line, sizeof line / sizeof *line);
}

bool is_verbose() {
  const char* verbose = getauxval(AT_SECURE) == 0 ? getenv("MOONLET_VERBOSE") : nullptr;
  return verbose != nullptr && strcmp(verbose, "1") == 0;
}

void tell(const char* program, const Refusal& refusal) {
  if (!is_verbose()) return;
  constexpr int kOwn = 3;
  const protocol::RefusalText text(refusal);
  // "moonlet: ", and where the reason says what it is about DOING ON and the colon too.
  const int left_out = refusal.about != nullptr ? 5 : 1;
  iovec line[kOwn + protocol::RefusalText::kParts] = {as_part("moonlet: "), as_part(program), as_part(": ")};
  const int parts = protocol::RefusalText::kParts - left_out;
  memcpy(line + kOwn, text.part + left_out, static_cast<size_t>(parts) * sizeof *line);
  line[kOwn + parts] = as_part("\n");
  write_line(line, kOwn + parts + 1);
}

}  // namespace moonlet::fallback
