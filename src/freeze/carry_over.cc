#include "freeze/carry_over.h"

#include "freeze/log.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

namespace moonlet::freeze::questions {

namespace {

using image::Asked;
using image::Question;

// Takes apart what collect() has grouped: a launch asks the same, whatever directory a name stands behind.
class Carrier {
 public:
  explicit Carrier(Log* log) : log_(log) {}

  void take(const Question* question, const char* behind) {
    switch (question->asked) {
      case Asked::kBase:
        base_ = text_of(question);
        base_end_ = behind + question->aux;
        return;
      case Asked::kDirectory:  // the names behind it are carried over themselves
        return;
      case Asked::kVariables:  // whose text holds zeroes, two at the end
        return log_->add(question->asked, question->aux, text_of(question), length_of_beginnings(question),
                         question->answer);
      default:
        return add(question, behind <= base_end_ && question->asked <= Asked::kLastOfFiles ? base_ : nullptr);
    }
  }

 private:
  static size_t length_of_beginnings(const Question* question) {
    const char* at = text_of(question);
    size_t length = 0;
    do {
      const size_t size = strlen(at + length) + 1;
      length += size;
    } while (at[length] != '\0');
    return length;
  }

  void add(const Question* question, const char* base) {
    const char* text = text_of(question);
    char path[2 * PATH_MAX];
    if (base != nullptr) {
      const bool ends = *base != '\0' && base[strlen(base) - 1] == '/';
      snprintf(path, sizeof path, "%s%s%s", base, ends ? "" : "/", text);
      text = path;
    }
    log_->add(question->asked, question->aux, text, strlen(text), question->answer);
  }

  Log* log_;
  const char* base_ = nullptr;
  const char* base_end_ = nullptr;  // of the questions that are relative to it
};

}  // namespace

void carry_over(const image::Tables& base) {
  const char* at = base.at + base.header().questions;
  const char* const end = at + base.header().questions_size;
  Carrier carrier(recorded);
  while (at < end) {
    const auto* const question = reinterpret_cast<const Question*>(at);
    at += question->size;
    carrier.take(question, at);
  }
}

}  // namespace moonlet::freeze::questions
