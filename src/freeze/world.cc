#include "freeze/world.h"

#include "image/answer.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

using image::Asked;

namespace {

// The text of a kVariables: a beginning, then those left out.
class Pattern {
 public:
  void add(const char* text, const char* end = "") {
    const size_t length = strlen(text), more = strlen(end) + 1;
    if (size_ + length + more >= sizeof text_)
      return;  // ignored by one name more than fit: asked for nevertheless
    memcpy(text_ + size_, text, length);
    memcpy(text_ + size_ + length, end, more);
    size_ += length + more;
  }
  void ask(Log* log) {
    const Options& options = log->options;
    for (size_t i = 0; i < options.ignored_count; i++) {
      if (strchr(options.ignored[i], '/') == nullptr) add(options.ignored[i], "=");
    }
    if (!log->knows(Asked::kVariables, 0, text_, size_))
      log->add(Asked::kVariables, 0, text_, size_, image::variables(log->environment, text_));
  }

 private:
  char text_[4096] = {};
  size_t size_ = 0;
};

}  // namespace

void ask_world(Log* log, Asked asked, uint32_t aux) {
  if (!log->knows(asked, aux, "", 0))
    log->add(asked, aux, "", 0, image::answer(asked, aux, "", AT_FDCWD, nullptr));
}

void ask_fact(Log* log, Asks asks, unsigned long number) {
  switch (asks) {
    case Asks::kWhere:
      return ask_world(log, Asked::kWorkingDirectory);
    case Asks::kHost:
      return ask_world(log, Asked::kHost);
    case Asks::kUser:
      return ask_world(log, Asked::kUser);
    case Asks::kProcessors:
      return ask_world(log, Asked::kProcessors);
    default:
      return ask_world(log, Asked::kLimit, static_cast<uint32_t>(number));
  }
}

void ask_variable(Log* log, const char* name) {
  constexpr size_t kLongest = 32768;  // with its value, as a question of its own
  const size_t length = strlen(name);
  // No name of a variable has a '=' (environ(7)); getenv(3) finds none that has.
  if (length == 0 || strchr(name, '=') != nullptr || log->ignores(name, length)) return;
  const char* entry = image::variable(log->environment, name, length);
  // What the warm-up itself has set, or removed, is its own.
  if (image::variable(environ, name, length) != entry) return;
  const char* text = entry == nullptr ? name : entry;
  const size_t size = strlen(text);
  if (size < kLongest) return log->add(Asked::kVariable, static_cast<uint32_t>(length), text, size, 0);
  Pattern pattern;
  pattern.add(name, "=");
  pattern.ask(log);
}

void ask_variables(Log* log, const char* beginning) {
  Pattern pattern;
  pattern.add(beginning);
  pattern.ask(log);
}

void ask_environment(Log* log) {
  Pattern pattern;
  pattern.add("");
  pattern.add("_=");        // the program's path, as some shells set it for each one
  pattern.add("MOONLET_");  // where an image is, and what is printed: no part of the job
  pattern.ask(log);
}

}  // namespace moonlet::freeze::questions
