// Instead of questions.cc and all that stands behind it, in a build without MOONLET_QUESTIONS: nothing is
// recorded, and an image is made with --trust alone, which says that nothing it depends on will ever change.

#include "freeze/questions.h"
#include "image/complain.h"

#include <stdlib.h>

namespace moonlet::freeze::questions {

void begin(const Options& options) {
  if (options.trust) return;
  image::complain(
      "this moonlet-lua does not record what a warm-up asks, and so makes images with --trust alone");
  exit(EXIT_FAILURE);
}

void forgive_seed() {}
void end() {}
void note_asker(const char*) {}
bool can_execute_again() { return false; }
void execute_again(const char* const*, int) {}
Pause::Pause() = default;
Pause::~Pause() = default;
Collected collect() { return {}; }
const char* describe(Matter) { return ""; }
Mapping mapping() { return {}; }
void forget() {}

}  // namespace moonlet::freeze::questions
