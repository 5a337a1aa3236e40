#include "client/thaw.h"

#include "client/fallback.h"
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

// On the other side of the jump, as long as nothing has run.
[[noreturn]] void turn_back(const char* reason) { fall_back(launch.argv, {"run in", "the image", 0, reason}); }

image::AuxiliaryEntry* find_auxiliary() {
  char** last = environ;
  while (*last != nullptr) last++;
  return reinterpret_cast<image::AuxiliaryEntry*>(last + 1);
}

protocol::ImagePath beside;

}  // namespace

bool thaw(const CommandLine& line, const protocol::SocketAddress& socket, long* stack, Refusal& refusal) {
  const char* path = line.image != nullptr && *line.image != '\0' ? line.image : getenv("MOONLET_IMAGE");
  const bool is_named = path != nullptr;
  if (!is_named) {
    beside.set(socket);
    path = beside.text;
  } else if (*path == '\0') {
    return false;  // none is wanted
  }
  refusal = {"thaw", path, EPERM};
  if (getauxval(AT_SECURE) != 0) return is_named;  // before anything that others may have chosen is read
  if (line.rehearses) line.argv[0] = const_cast<char*>(path);
  launch = {line.rehearses ? 0 : line.argc,     line.argv, environ, find_auxiliary(),
            reinterpret_cast<uintptr_t>(stack), turn_back};
  const image::Expected expected = {MOONLET_LUA_CODE, static_cast<uint32_t>(getauxval(AT_PAGESZ)),
                                    image::kBuild, image::hash_processor(launch.auxiliary)};
  const image::Doubt doubt = image::enter(const_cast<char*>(path), expected, launch);
  refusal = {"thaw", doubt.path != nullptr ? doubt.path : path, doubt.error, doubt.reason};
  return is_named;
}

}  // namespace moonlet::client
