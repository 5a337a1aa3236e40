#include "client/thaw.h"

#include "client/handed.h"
#include "client/warm.h"
#include "fallback/fallback.h"
#include "image/answer.h"
#include "image/enter.h"
#include "image/format.h"
#include "image/resume.h"

#include <errno.h>
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

void begin() {
  tell_how(1);
  if (!fallback::is_verbose()) return;
  const char* const part[] = {"moonlet: thawed ", path};
  fallback::write_line(part, 2);
}

protocol::ImagePath beside;

image::Expected what_is_expected(const image::AuxiliaryEntry* auxiliary) {
  return {MOONLET_LUA_CODE, static_cast<uint32_t>(getauxval(AT_PAGESZ)), image::kBuild,
          image::hash_processor(auxiliary)};
}

// Why the image at `path` was not entered.
image::Doubt enter(int given, image::Use use, fallback::Refusal& refusal) {
  const image::Doubt doubt =
      image::enter(const_cast<char*>(path), given, use, what_is_expected(launch.auxiliary), launch);
  refusal = {"thaw", path, doubt.error, doubt.reason};
  if (doubt.path != path) refusal.about = doubt.path != nullptr ? doubt.path : "";
  return doubt;
}

bool is_missing(const image::Doubt& doubt) { return doubt.path == path && doubt.reason == nullptr; }

#if defined(MOONLET_WARM)

// Thaws the first image of this warm-up that fits. If none does, `refusal` is about the last one that is there.
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
    fallback::Refusal why = {};
    cache.set_image(slot);
    if (is_missing(enter(-1, image::Use::kNoted, why)) && slot != 0) continue;
    refusal = why;
    last = slot;
  }
  cache.set_image(last);  // the refusal may name it
  return Then::kHaveFrozen;
}

#endif

}  // namespace

Then thaw(const CommandLine& line, const protocol::SocketAddress& socket, long* stack,
          fallback::Refusal& refusal) {
  path = line.image != nullptr && *line.image != '\0' ? line.image : getenv("MOONLET_IMAGE");
  if (line.descriptor >= 0) path = "moonletd's image";
  const bool is_named = path != nullptr;
#if defined(MOONLET_WARM)
  const char* const warm_up = is_named || line.socket != nullptr ? nullptr : protocol::setting("MOONLET_WARM");
#endif
  if (!is_named) {
    beside.set(socket);
    path = beside.text;
  } else if (*path == '\0') {
    return Then::kNothing;  // none is wanted
  }
  if (line.rehearses) line.argv[0] = const_cast<char*>(path);
  launch = {line.rehearses ? 0 : line.argc,
            line.argv,
            environ,
            image::auxiliary_behind(environ),
            reinterpret_cast<uintptr_t>(stack),
            turn_back,
            fallback::is_verbose() || is_to_tell_how() ? begin : nullptr};
#if defined(MOONLET_WARM)
  if (warm_up != nullptr) return thaw_cached(warm_up, refusal);
#endif
  const image::Doubt doubt = enter(line.descriptor, image::Use::kNotNoted, refusal);
  // moonletd's child tells of what is another answer here: of all else moonletd knows.
  const bool is_of_interest = line.descriptor >= 0 ? doubt.path != path : !is_named && !is_missing(doubt);
  return is_of_interest ? Then::kTellMoonletd : Then::kNothing;
}

#if defined(MOONLET_LAYERS)

void freeze_on_image(const CommandLine& line, char** argv, long* stack) {
  auto* const base = const_cast<char*>(line.image);
  const image::Expected expected = what_is_expected(image::auxiliary_behind(environ));
  const image::Doubt doubt = image::resume(base, expected, argv, reinterpret_cast<uintptr_t>(stack));
  fallback::Refusal refusal = {"freeze on", base, doubt.error, doubt.reason};
  if (doubt.path != base) refusal.about = doubt.path != nullptr ? doubt.path : "";
  fallback::print_refusal(refusal);
  _exit(EXIT_FAILURE);
}

#endif

}  // namespace moonlet::client
