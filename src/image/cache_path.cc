#include "image/cache_path.h"

#include "image/answer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

uint64_t hash_name(const char* warm_up) {
  struct {
    uint64_t build = kBuild;
    uint64_t host = image::host();
    uint64_t root_inode = 0;
    uint32_t root_device[2] = {};
    uint64_t lua = MOONLET_LUA_CODE;
  } made_for;
  FileStatus root;
  if (look(AT_FDCWD, "/", Follow::kYes, &root) == 0) {
    made_for.root_inode = root.inode;
    made_for.root_device[0] = root.device[0];
    made_for.root_device[1] = root.device[1];
  }
  return hash_bytes(hash_bytes(0, &made_for, sizeof made_for), warm_up, strlen(warm_up));
}

}  // namespace

bool CachePath::set_directory(const char* first, const char* second) {
  static constexpr char kOwn[] = "/moonlet/";
  const size_t length = strlen(first);
  const size_t more = strlen(second);
  if (*first != '/' || length + more + sizeof kOwn + kLongestRest > sizeof text_) return false;
  memcpy(text_, first, length);
  memcpy(text_ + length, second, more);
  memcpy(text_ + length + more, kOwn, sizeof kOwn);
  directory_ = length + more + sizeof kOwn - 1;
  return true;
}

bool CachePath::set_directory() {
  const char* const cache = getenv("XDG_CACHE_HOME");
  if (cache != nullptr && set_directory(cache, "")) return true;
  const char* const home = getenv("HOME");
  return home != nullptr && set_directory(home, "/.cache");
}

void CachePath::set_name(const char* warm_up) {
  uint64_t hash = hash_name(warm_up);
  for (size_t i = 0; i < kNameLength; i++, hash >>= 4)
    text_[directory_ + i] = static_cast<char>('a' + (hash & 15));
}

void CachePath::set_ending(const char* ending) {
  memcpy(text_ + directory_ + kNameLength, ending, strlen(ending) + 1);
}

void CachePath::set_image(int slot) {
  set_ending("-N.image");
  text_[directory_ + kNameLength + 1] = static_cast<char>('0' + slot);
}

void CachePath::set_log() { set_ending(kLogEnding); }

}  // namespace moonlet::image
