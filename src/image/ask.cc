#include "image/ask.h"

#include "image/answer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

// What stands for questions that make no sense: of no kind that there is.
constexpr Question kDamaged = {sizeof(Question), static_cast<Asked>(255), 0, 0, 0};

// The directory that names are relative to, up to an end among the questions.
class Base {
 public:
  Base() = default;
  Base(const Base&) = delete;
  Base& operator=(const Base&) = delete;
  ~Base() { leave(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] const Question* question() const { return question_; }

  bool enter(const Question* question, const char* end) {
    question_ = nullptr;  // its own path is relative to none
    end_ = end;
    fd_ = static_cast<int>(syscall(SYS_openat, AT_FDCWD, text_of(question), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (fd_ < 0) return false;
    question_ = question;
    return true;
  }
  void leave_at(const char* at) {
    if (at >= end_) leave();
  }

 private:
  void leave() {
    if (question_ != nullptr) syscall(SYS_close, fd_);
    question_ = nullptr;
    fd_ = AT_FDCWD;
  }

  int fd_ = AT_FDCWD;
  const Question* question_ = nullptr;  // null: there is no base, and fd_ is no descriptor
  const char* end_ = nullptr;
};

bool is_asked(Asked asked, Which which) {
  const bool is_file = asked <= Asked::kLastOfFiles;
  if (which != Which::kOfSystem) return which == Which::kAll || !is_file;
  return is_file || asked == Asked::kContent || asked == Asked::kHost || asked == Asked::kProcessors;
}

bool is_the_same(const Question* question, const Base& base, char** envp) {
  const char* text = text_of(question);
  if (question->asked != Asked::kVariable) {
    const uint64_t now = answer(question->asked, question->aux, text, base.get(), envp);
    return now == question->answer && now != kNever;
  }
  const char* entry = variable(envp, text, question->aux);
  return entry != nullptr ? strcmp(entry, text) == 0 : text[question->aux] == '\0';
}

}  // namespace

Difference first_that_differs(const char* questions, uint32_t size, char** envp, Which which) {
  const char* at = questions;
  const char* end = questions + size;
  Base base;
  while (at < end) {
    base.leave_at(at);
    const auto* question = reinterpret_cast<const Question*>(at);
    const auto left = static_cast<size_t>(end - at);
    if (left < kLeastQuestion || question->size < kLeastQuestion || question->size > left ||
        question->size % 8 != 0 || at[question->size - 1] != '\0')
      return {&kDamaged, nullptr};
    at += question->size;
    const Asked asked = question->asked;
    if (!is_asked(asked, which)) continue;
    // How far `aux` reaches: over the questions behind this one, or within the text.
    const size_t aux = question->aux;
    const bool holds_others = asked <= Asked::kDirectory;
    if (holds_others && (aux % 8 != 0 || aux > static_cast<size_t>(end - at))) return {&kDamaged, nullptr};
    if (asked == Asked::kVariable && aux > strlen(text_of(question))) return {&kDamaged, nullptr};
    // The last of the beginnings that a kVariables lists is an empty one: two zeroes.
    if (asked == Asked::kVariables && at[-2] != '\0') return {&kDamaged, nullptr};

    if (asked == Asked::kBase) {
      if (base.question() != nullptr || !base.enter(question, at + aux)) return {question, nullptr};
    } else if (is_the_same(question, base, envp)) {
      if (asked == Asked::kDirectory) at += aux;
    } else if (asked != Asked::kDirectory) {
      return {question, base.question()};
    }
  }
  return {};
}

}  // namespace moonlet::image
