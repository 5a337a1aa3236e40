#include "server/frozen.h"

#include "base/clock.h"
#include "base/unique_fd.h"
#include "image/answer.h"
#include "image/ask.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

// Reads and judges the tables of the image `fd`. Null if it is none; else the caller frees them.
char* read_tables(int fd) {
  image::Header header;
  if (pread(fd, &header, sizeof header, 0) != sizeof header ||
      memcmp(header.magic, image::kMagic, sizeof header.magic) != 0 || header.format != image::kFormat ||
      header.build != image::kBuild || header.tables_size > image::kMaxTables ||
      header.tables_size < sizeof header)
    return nullptr;
  const auto size = static_cast<size_t>(header.tables_size);
  auto* const at = static_cast<char*>(malloc(size));
  if (at == nullptr) return nullptr;
  if (pread(fd, at, size, 0) == static_cast<ssize_t>(size) && memcmp(at, &header, sizeof header) == 0 &&
      image::judge_tables({at}) == nullptr)
    return at;
  free(at);
  return nullptr;
}

bool is_path(image::Asked asked) { return asked <= image::Asked::kLastOfFiles && asked != image::Asked::kBase; }

}  // namespace

void Frozen::forget() {
  free(const_cast<char*>(tables_.at));
  free(notes_);
  tables_.at = notes_ = nullptr;
}

bool Frozen::read(const char* path, bool with_notes) {
  forget();
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status;
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  file_ = {status.st_dev, status.st_ino};
  tables_.at = read_tables(file.get());
  if (has_image() && with_notes) {
    const image::Header& header = tables_.header();
    const size_t size = header.notes_size;
    notes_ = size <= image::kMaxTables ? static_cast<char*>(malloc(size + 1)) : nullptr;
    if (notes_ != nullptr &&
        pread(file.get(), notes_, size, static_cast<off_t>(header.tables_size)) == static_cast<ssize_t>(size)) {
      notes_[size] = '\0';
    } else {
      free(notes_);
      notes_ = nullptr;
    }
  }
  return has_image();
}

bool Frozen::is_at(const char* path) const {
  struct stat status;
  return has_image() && stat(path, &status) == 0 && file_ == FileIdentity{status.st_dev, status.st_ino} &&
         static_cast<uint64_t>(status.st_size) == tables_.header().file_size;
}

bool Frozen::differs(char* words, size_t size) const {
  if (!has_image()) return false;
  const image::Header& header = tables_.header();
  const image::Difference difference = image::first_that_differs(
      tables_.at + header.questions, header.questions_size, environ, image::Which::kOfSystem);
  if (difference.question != nullptr) {
    image::describe(difference, words, static_cast<uint32_t>(size));
    return true;
  }
  const char* const changed = first_changed_file(tables_);
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

// The questions have been judged by the first launch that has asked them: the rehearsal. What makes no sense
// ends the walk.
template <typename Each>
void Frozen::for_each_question(Each each) const {
  if (!has_image()) return;
  const image::Header& header = tables_.header();
  const char* const questions = tables_.at + header.questions;
  for (uint32_t at = 0; header.questions_size - at >= image::kLeastQuestion;) {
    const auto* const question = reinterpret_cast<const image::Question*>(questions + at);
    if (question->size < image::kLeastQuestion || question->size > header.questions_size - at ||
        question->size % 8 != 0)
      break;
    each(question);
    at += question->size;
  }
}

void Frozen::for_each_path(void (*each)(const char* path, void* context), void* context) const {
  char path[PATH_MAX];
  const char* base = "";
  const char* end_of_base = nullptr;
  for_each_question([&](const image::Question* question) {
    const auto* const at = reinterpret_cast<const char*>(question);
    if (at == end_of_base) base = "";
    const char* const text = image::text_of(question);
    if (question->asked == image::Asked::kBase) {
      base = text;
      end_of_base = at + question->size + question->aux;
    }
    if (!is_path(question->asked)) return;
    snprintf(path, sizeof path, "%s%s%s", base, *base != '\0' && *text != '\0' ? "/" : "", text);
    each(path, context);
  });
  for (uint32_t i = 0; has_image() && i < tables_.header().files; i++) each(tables_.path(i), context);
}

void Frozen::for_each_module(void (*each)(const char* name, void* context), void* context) const {
  if (notes_ == nullptr) return;
  for (const char* name = notes_; *name != '\0'; name += strlen(name) + 1) each(name, context);
}

protocol::ImageStatus Frozen::status() const {
  protocol::ImageStatus status = {};
  if (!has_image()) return status;
  const image::Header& header = tables_.header();
  status.kilobytes = static_cast<uint32_t>(header.file_size / 1024);
  status.heap = header.heap;
  status.modules = notes_ != nullptr ? header.modules : 0;
  const auto age = static_cast<uint32_t>(time(nullptr) - header.made_seconds);
  status.made_at = seconds_since_boot() - age;
  for_each_question([&status](const image::Question* question) {
    const image::Asked asked = question->asked;
    if (asked == image::Asked::kVariable || asked == image::Asked::kVariables) {
      status.variables++;
    } else if (asked > image::Asked::kLastOfFiles) {
      status.others++;
    }
  });
  for_each_path([](const char*, void* count) { ++*static_cast<uint32_t*>(count); }, &status.paths);
  return status;
}

}  // namespace moonlet::server
