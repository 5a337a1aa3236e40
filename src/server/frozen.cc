#include "server/frozen.h"

#include "base/unique_fd.h"
#include "image/answer.h"
#include "image/ask.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::server {

bool Frozen::read(const char* path) {
  image_.forget();
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status;
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  file_ = {status.st_dev, status.st_ino};
  return image_.read(file.get());
}

bool Frozen::is_at(const char* path) const {
  struct stat status;
  return image_.has_image() && stat(path, &status) == 0 &&
         file_ == FileIdentity{status.st_dev, status.st_ino} &&
         static_cast<uint64_t>(status.st_size) == image_.tables.header().file_size;
}

bool Frozen::differs(char* words, size_t size) const {
  if (!image_.has_image()) return false;
  const image::Header& header = image_.tables.header();
  const image::Difference difference = image::first_that_differs(
      image_.tables.at + header.questions, header.questions_size, environ, image::Which::kOfSystem);
  if (difference.question != nullptr) {
    image::describe(difference, words, static_cast<uint32_t>(size));
    return true;
  }
  const char* const changed = first_changed_file(image_.tables);
  if (changed != nullptr) snprintf(words, size, "%s has changed", changed);
  return changed != nullptr;
}

bool Frozen::has_changed_since(const char* image) const {
  struct Search {
    timespec since;
    bool has_found;
  };
  struct stat status;
  if (stat(image, &status) != 0) return false;
  Search search = {status.st_ctim, false};
  for_each_path(
      [](const char* path, void* it) {
        auto& searched = *static_cast<Search*>(it);
        struct stat found;
        searched.has_found |=
            stat(path, &found) == 0 &&
            (found.st_ctim.tv_sec > searched.since.tv_sec ||
             (found.st_ctim.tv_sec == searched.since.tv_sec && found.st_ctim.tv_nsec > searched.since.tv_nsec));
      },
      &search);
  return search.has_found;
}

}  // namespace moonlet::server
