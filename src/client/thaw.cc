#include "client/thaw.h"

#include "client/warm.h"
#include "fallback/fallback.h"
#include "image/answer.h"
#include "image/enter.h"
#include "image/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

image::Launch launch;
const char* path;  // of the image

// On the other side of the jump, as long as nothing has run.
[[noreturn]] void turn_back(const char* reason) {
  fallback::fall_back(launch.argv, {"run in", "the image", 0, reason, ""});
}

void say_what_was_thawed() {
  const iovec line[] = {{const_cast<char*>("moonlet: thawed "), 16},
                        {const_cast<char*>(path), strlen(path)},
                        {const_cast<char*>("\n"), 1}};
  [[maybe_unused]] const ssize_t written = writev(STDERR_FILENO, line, 3);
}

protocol::ImagePath beside;

void prepare(const CommandLine& line, long* stack) {
  launch = {line.rehearses ? 0 : line.argc,
            line.argv,
            environ,
            image::auxiliary_behind(environ),
            reinterpret_cast<uintptr_t>(stack),
            turn_back,
            fallback::is_verbose() ? say_what_was_thawed : nullptr};
}

image::Doubt enter(const image::Opened& opened) {
  const image::Expected expected = {MOONLET_LUA_CODE, static_cast<uint32_t>(getauxval(AT_PAGESZ)),
                                    image::kBuild, image::hash_processor(launch.auxiliary)};
  return image::enter(opened, const_cast<char*>(path), expected, launch);
}

// Opens the image at `path`, with more `flags`, and enters it.
image::Doubt open_and_enter(int flags) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
  if (fd < 0) return {path, nullptr, errno};
  const image::Doubt doubt = enter({fd, false, flags != 0});
  close(fd);
  return doubt;
}

bool is_missing(const image::Doubt& doubt) { return doubt.path == path && doubt.reason == nullptr; }

fallback::Refusal refusal_of(const image::Doubt& doubt) {
  fallback::Refusal refusal = {"thaw", path, doubt.error, doubt.reason};
  if (doubt.path != path) refusal.about = doubt.path != nullptr ? doubt.path : "";
  return refusal;
}

#if defined(MOONLET_WARM)

// Thaws the first image of this warm-up that fits. If none does, it is the last one that is there that
// `refusal` is about.
Then thaw_cached(const char* warm_up, fallback::Refusal& refusal) {
  image::CachePath& cache = cache_path();
  path = cache.text();
  if (!cache.set_directory()) {
    refusal = {"find", "a directory for MOONLET_WARM", ENOENT, "neither HOME nor XDG_CACHE_HOME is a path"};
    return Then::kNothing;
  }
  cache.set_name(warm_up);
  int last = 0;
  for (int slot = 0; slot < image::kSlots; slot++) {
    cache.set_image(slot);
    const image::Doubt doubt = open_and_enter(O_NOATIME);
    if (slot != 0 && is_missing(doubt)) continue;
    refusal = refusal_of(doubt);
    last = slot;
  }
  cache.set_image(last);
  return Then::kHaveFrozen;
}

#endif

}  // namespace

Then thaw(const CommandLine& line, const protocol::SocketAddress& socket, long* stack,
          fallback::Refusal& refusal) {
  const char* const variable =
      line.image != nullptr && *line.image != '\0' ? line.image : getenv("MOONLET_IMAGE");
  path = line.descriptor >= 0 ? "moonletd's image" : variable;
  if (path != nullptr && *path == '\0') return Then::kNothing;  // none is wanted
  if (line.rehearses) line.argv[0] = const_cast<char*>(path);
  prepare(line, stack);
  if (line.descriptor >= 0) {
    refusal = refusal_of(enter({line.descriptor, true}));
    return Then::kNothing;
  }
  if (path != nullptr) {
    refusal = refusal_of(open_and_enter(0));
    return Then::kNothing;
  }
#if defined(MOONLET_WARM)
  const char* const warm_up = line.socket == nullptr ? protocol::setting("MOONLET_WARM") : nullptr;
  if (warm_up != nullptr) return thaw_cached(warm_up, refusal);
#endif
  beside.set(socket);
  path = beside.text;
  const image::Doubt doubt = open_and_enter(0);
  refusal = refusal_of(doubt);
  return is_missing(doubt) ? Then::kNothing : Then::kTellMoonletd;
}

}  // namespace moonlet::client
