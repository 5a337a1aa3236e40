// Names sorted by their directories.
#pragma once

#include "freeze/log.h"

namespace moonlet::freeze::questions {

/// A name, with what is asked of it.
struct Name {
  Name* next;
  const char* text;
  uint32_t length;
  image::Asked asked;
  uint64_t answer;
};

/// Names, in the order in which they came.
struct Names {
  Name* first = nullptr;
  Name** last = &first;
  uint32_t count = 0;

  void add(Name* name) {
    *last = name;
    last = &name->next;
    count++;
  }
};

struct Directory {
  Directory* next;
  const char* path;  // of `length` bytes; none: the working directory
  uint32_t length;
  Names present;  // and what has to be asked by name for another reason
  Names absent;
};

class Directories {
 public:
  explicit Directories(Log* log) : log_(log) {}

  /// Adds what is asked of the first `length` bytes of `path`, which have to stay: a name that is missing in
  /// its directory
  /// (`is_absent`), once, or another one. Forgets it where the log is full.
  void add(const char* path, size_t length, bool is_absent, image::Asked asked, uint64_t answer);

  [[nodiscard]] const Directory* first() const { return first_; }

 private:
  Directory* of(const char* path, size_t length);

  Log* log_;
  Directory* first_ = nullptr;
  Directory** last_ = &first_;
};

/// How much of `path`, which leads to nothing, is the first name on the way that is missing in an existing
/// directory. 0: it is missing for another reason, as a link that leads nowhere.
size_t first_missing(const char* path);

}  // namespace moonlet::freeze::questions
