#include "client/thaw.h"

#include "fallback/fallback.h"
#include "image/answer.h"
#include "image/enter.h"
#include "image/format.h"

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

void say_what_was_thawed() {
  const iovec line[] = {{const_cast<char*>("moonlet: thawed "), 16},
                        {const_cast<char*>(path), strlen(path)},
                        {const_cast<char*>("\n"), 1}};
  [[maybe_unused]] const ssize_t written = writev(STDERR_FILENO, line, 3);
}

image::AuxiliaryEntry* find_auxiliary() {
  char** last = environ;
  while (*last != nullptr) last++;
  return reinterpret_cast<image::AuxiliaryEntry*>(last + 1);
}

protocol::ImagePath beside;

}  // namespace

bool thaw(const CommandLine& line, const protocol::SocketAddress& socket, long* stack,
          fallback::Refusal& refusal) {
  path = line.image != nullptr && *line.image != '\0' ? line.image : getenv("MOONLET_IMAGE");
  if (line.descriptor >= 0) path = "moonletd's image";
  const bool is_named = path != nullptr;
  if (!is_named) {
    beside.set(socket);
    path = beside.text;
  } else if (*path == '\0') {
    return false;  // none is wanted
  }
  if (line.rehearses) line.argv[0] = const_cast<char*>(path);
  launch = {line.rehearses ? 0 : line.argc,
            line.argv,
            environ,
            find_auxiliary(),
            reinterpret_cast<uintptr_t>(stack),
            turn_back,
            fallback::is_verbose() ? say_what_was_thawed : nullptr};
  const image::Expected expected = {MOONLET_LUA_CODE, static_cast<uint32_t>(getauxval(AT_PAGESZ)),
                                    image::kBuild, image::hash_processor(launch.auxiliary)};
  const image::Doubt doubt = image::enter(const_cast<char*>(path), line.descriptor, expected, launch);
  refusal = {"thaw", path, doubt.error, doubt.reason};
  if (doubt.path != path) refusal.about = doubt.path != nullptr ? doubt.path : "";
  return !is_named && (doubt.path != path || doubt.reason != nullptr);
}

}  // namespace moonlet::client
