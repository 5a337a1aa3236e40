#include "client/thaw.h"

#include "base/layout.h"
#include "client/fallback.h"
#include "image/answer.h"
#include "image/enter.h"
#include "image/format.h"

#include <errno.h>
#include <limits.h>
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

// "DIRECTORY/NAME.image" for "DIRECTORY/NAME.sock". False if there is no room.
bool name_beside(const char* socket, char (&path)[PATH_MAX]) {
  static constexpr char kOfSocket[] = ".sock";
  static constexpr char kOfImage[] = ".image";
  size_t length = strlen(socket);
  const size_t ending = sizeof kOfSocket - 1;
  if (length >= ending && memcmp(socket + length - ending, kOfSocket, ending) == 0) length -= ending;
  if (length + sizeof kOfImage > sizeof path) return false;
  memcpy(path, socket, length);
  memcpy(path + length, kOfImage, sizeof kOfImage);
  return true;
}

}  // namespace

bool thaw(const CommandLine& line, const protocol::SocketAddress& socket, long* stack, Refusal& refusal) {
  MOONLET_LARGE static char beside[PATH_MAX];
  const char* path =
      line.image != nullptr && *line.image != '\0' ? line.image : protocol::setting("MOONLET_IMAGE");
  const bool is_named = path != nullptr;
  if (!is_named) {
    if (!name_beside(socket.un.sun_path, beside)) return false;
    path = beside;
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
  return is_named || refusal.error != ENOENT;
}

}  // namespace moonlet::client
