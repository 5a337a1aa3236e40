#include "image/fork_handlers.h"

#include "base/layout.h"

#include <dlfcn.h>
#include <errno.h>

namespace moonlet::image {

namespace {

struct Handlers {
  void (*prepare)();
  void (*child)();
};
constexpr int kMost = 256;
MOONLET_LARGE Handlers registered[kMost];
int count = 0;

int remember(void (*prepare)(), void (*child)()) {
  if (count == kMost) return ENOMEM;
  registered[count++] = {prepare, child};
  return 0;
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

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

}  // namespace moonlet::image

// NOLINTBEGIN(bugprone-reserved-identifier): they are libc's
// Both stand in front of libc's, which registers too: a script forks.
extern "C" {

#if defined(__GLIBC__)

// What pthread_atfork(3) is in each library that glibc's static part is linked to.
[[gnu::visibility("default")]] int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(),
                                                     void* library) {
  using Function = int (*)(void (*)(), void (*)(), void (*)(), void*);
  static const auto real = moonlet::image::next<Function>("__register_atfork");
  const int error = moonlet::image::remember(prepare, child);
  return error != 0 ? error : real(prepare, parent, child, library);
}

#else

[[gnu::visibility("default")]] int pthread_atfork(void (*prepare)(), void (*parent)(), void (*child)()) {
  using Function = int (*)(void (*)(), void (*)(), void (*)());
  static const auto real = moonlet::image::next<Function>("pthread_atfork");
  const int error = moonlet::image::remember(prepare, child);
  return error != 0 ? error : real(prepare, parent, child);
}

#endif

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
