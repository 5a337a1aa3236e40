#include "fallback/refusal.h"

#include "base/line.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::fallback {

using protocol::RefusalText;

// One write, so that lines of several programs do not mix. stdio would cost more than a launch.
void write_line(const char* const* part, int count) {
  char text[PATH_MAX + 512];
  Line line(text, sizeof text - 1);
  for (int i = 0; i < count; i++) line.add(part[i]);
  text[line.size()] = '\n';
  // Nobody is left to tell when standard error itself fails.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, line.size() + 1);
}

void print_refusal(const Refusal& refusal) {
  const RefusalText text(refusal);
  write_line(text.part, RefusalText::kParts);
}

bool is_verbose() {
  const char* verbose = getauxval(AT_SECURE) == 0 ? getenv("MOONLET_VERBOSE") : nullptr;
  return verbose != nullptr && strcmp(verbose, "1") == 0;
}

void tell(const char* program, const Refusal& refusal) {
  if (!is_verbose()) return;
  constexpr int kOwn = 3;
  const RefusalText text(refusal);
  // "moonlet: ", and where the reason says what it is about DOING ON and the colon too.
  const int left_out = refusal.about != nullptr ? 5 : 1;
  const char* part[kOwn + RefusalText::kParts] = {"moonlet: ", program, ": "};
  const int parts = RefusalText::kParts - left_out;
  memcpy(part + kOwn, text.part + left_out, static_cast<size_t>(parts) * sizeof *part);
  write_line(part, kOwn + parts);
}

}  // namespace moonlet::fallback
