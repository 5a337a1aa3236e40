#include "freeze/directories.h"

#include "image/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

namespace moonlet::freeze::questions {

namespace {

// Where the last name in the first `length` bytes of `path` begins. Slashes behind it are the caller's to take
// off.
size_t last_name(const char* path, size_t length) {
  while (length > 0 && path[length - 1] != '/') length--;
  return length;
}

size_t without_slashes(const char* path, size_t length) {
  while (length > 1 && path[length - 1] == '/') length--;
  return length;
}

}  // namespace

Directory* Directories::of(const char* path, size_t length) {
  for (Directory* known = first_; known != nullptr; known = known->next) {
    if (known->length == length && memcmp(known->path, path, length) == 0) return known;
  }
  auto* added = static_cast<Directory*>(log_->allocate(sizeof(Directory)));
  if (added == nullptr) return nullptr;
  added->path = path;
  added->length = static_cast<uint32_t>(length);
  added->present.last = &added->present.first;
  added->absent.last = &added->absent.first;
  *last_ = added;
  last_ = &added->next;
  return added;
}

void Directories::add(const char* path, size_t length, bool is_absent, image::Asked asked, uint64_t answer) {
  length = without_slashes(path, length);
  const size_t begin = length > 1 ? last_name(path, length) : 0;
  Directory* directory = of(path, without_slashes(path, begin));
  if (directory == nullptr) return;
  const char* text = path + begin;
  length -= begin;
  for (const Name* known = directory->absent.first; is_absent && known != nullptr; known = known->next) {
    if (known->length == length && memcmp(known->text, text, length) == 0) return;
  }
  auto* name = static_cast<Name*>(log_->allocate(sizeof(Name)));
  if (name == nullptr) return;
  *name = {nullptr, text, static_cast<uint32_t>(length), asked, answer};
  (is_absent ? directory->absent : directory->present).add(name);
}

size_t first_missing(const char* path) {
  constexpr size_t kLongest = 4096;
  char part[kLongest];
  size_t length = without_slashes(path, strlen(path));
  if (length >= sizeof part) return 0;
  image::FileStatus status;
  for (;;) {
    const size_t begin = last_name(path, length);
    if (begin == 0) break;  // in the working directory
    const size_t parent = without_slashes(path, begin);
    memcpy(part, path, parent);
    part[parent] = '\0';
    const int error = image::look(AT_FDCWD, part, image::Follow::kYes, &status);
    if (error == 0 && S_ISDIR(status.mode)) break;
    if (error != ENOENT) return 0;
    length = parent;
  }
  memcpy(part, path, length);
  part[length] = '\0';
  return image::look(AT_FDCWD, part, image::Follow::kNo, &status) == ENOENT ? length : 0;
}

}  // namespace moonlet::freeze::questions
