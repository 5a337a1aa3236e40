#include "image/fork_handlers.h"

#include "base/layout.h"
#include "base/replaces.h"

namespace moonlet::image {

namespace {

struct Handlers {
  void (*prepare)();
  void (*child)();
};
constexpr int kMost = 256;
MOONLET_LARGE Handlers registered[kMost];
int count = 0;

bool all_fit = true;

}  // namespace

void call_prepare_handlers() {
  for (int i = count - 1; i >= 0; i--) {
    if (registered[i].prepare != nullptr) registered[i].prepare();
  }
}

void call_child_handlers() {
  for (int i = 0; i < count; i++) {
    if (registered[i].child != nullptr) registered[i].child();
  }
}

MOONLET_UNCHECKED void note_fork_handlers(void (*prepare)(), void (*child)()) {
  if (count == kMost) {
    all_fit = false;
    return;
  }
  registered[count++] = {prepare, child};
}

bool all_fork_handlers_are_known() { return all_fit; }

}  // namespace moonlet::image
