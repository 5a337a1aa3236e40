#include "ctl/judge_image.h"

#include "base/unique_fd.h"
#include "image/answer.h"
#include "image/ask.h"
#include "image/auxiliary.h"
#include "image/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

namespace moonlet::ctl {

namespace {

// What is only looked at is not used: no time of that is left behind, where that can be had.
int open_quietly(const char* path) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  const int fd = open(path, kFlags | O_NOATIME);
  return fd < 0 && errno == EPERM ? open(path, kFlags) : fd;
}

// The tables of an image, mapped.
class Mapped : public image::Tables {
 public:
  Mapped() = default;
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (size_ != 0) munmap(const_cast<char*>(at), size_);
  }

  bool is_of_another_lua = false;

  // What is wrong with the image `fd`, or null.
  const char* map(int fd) {
    const image::Expected expected = {MOONLET_LUA_CODE, static_cast<uint32_t>(getauxval(AT_PAGESZ)),
                                      image::kBuild, image::hash_processor(image::auxiliary_behind(environ))};
    image::Header header = {};
    if (const char* problem = read_header(fd, expected, header)) {
      is_of_another_lua = memcmp(header.magic, image::kMagic, sizeof header.magic) == 0 &&
                          header.format == image::kFormat && header.lua != expected.lua;
      return problem;
    }
    const auto size = static_cast<size_t>(header.tables_size);
    void* const mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) return "cannot be read";
    at = static_cast<const char*>(mapped);
    size_ = size;
    return memcmp(at, &header, sizeof header) == 0 ? judge_tables(*this) : "cannot be read";
  }

 private:
  size_t size_ = 0;
};

// What differs, described in `words`; its question is null if nothing does.
image::Difference find_difference(const image::Tables& tables, image::Which which, char* words, size_t size) {
  const image::Header& header = tables.header();
  const image::Difference found =
      first_that_differs(tables.at + header.questions, header.questions_size, environ, which);
  if (found.question != nullptr) describe(found, words, static_cast<uint32_t>(size));
  return found;
}

// Whether it is about a path that is another file in another directory.
bool is_relative(const image::Difference& found) {
  const image::Question* const outer = found.base != nullptr ? found.base : found.question;
  return found.question->asked <= image::Asked::kLastOfFiles && *image::text_of(outer) != '/';
}

}  // namespace

Judgement judge_image(const char* path, char* words, size_t size) {
  const UniqueFd fd(open_quietly(path));
  if (!fd.valid() && errno == ENOENT) return Judgement::kMissing;
  Mapped tables;
  if (!fd.valid()) {
    snprintf(words, size, "%s", strerror(errno));
    return Judgement::kOutdated;
  }
  if (const char* problem = tables.map(fd.get())) {
    snprintf(words, size, "%s", problem);
    return tables.is_of_another_lua ? Judgement::kDiffers : Judgement::kOutdated;
  }
  if (const char* changed = image::first_changed_file(tables)) {
    snprintf(words, size, "%s has changed", changed);
    return Judgement::kOutdated;
  }
  const bool is_trusted = (tables.header().flags & image::kTrusted) != 0;
  if (!is_trusted) {
    const image::Difference found = find_difference(tables, image::Which::kOfSystem, words, size);
    if (found.question != nullptr) return is_relative(found) ? Judgement::kDiffers : Judgement::kOutdated;
  }
  const image::Which which = is_trusted ? image::Which::kNoFiles : image::Which::kAll;
  const bool fits = find_difference(tables, which, words, size).question == nullptr;
  return fits ? Judgement::kFits : Judgement::kDiffers;
}

void add_modules(const char* path, Text& out) {
  const UniqueFd fd(open_quietly(path));
  image::Header header;
  if (!fd.valid() || pread(fd.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header) ||
      memcmp(header.magic, image::kMagic, sizeof header.magic) != 0 || header.format != image::kFormat ||
      header.notes_size > image::kMaxTables)
    return;
  const auto room = static_cast<char*>(malloc(header.notes_size + 1));
  const auto at = static_cast<off_t>(header.tables_size);
  const ssize_t got = room != nullptr ? pread(fd.get(), room, header.notes_size, at) : 0;
  for (ssize_t i = 0; i < got; i += static_cast<ssize_t>(strlen(room + i)) + 1) {
    room[got] = '\0';
    if (i > 0) out.add(", ");
    out.add(room + i);
  }
  free(room);
}

void add_images_below(const char* path, Text& out) {
  const UniqueFd fd(open_quietly(path));
  Mapped tables;
  if (!fd.valid() || tables.map(fd.get()) != nullptr) return;
  for (uint32_t i = 0; i < tables.header().files; i++) {
    if (!tables.is_image(i)) continue;
    if (out.size() != 0) out.add(", ");
    out.add(tables.path(i));
  }
}

}  // namespace moonlet::ctl
