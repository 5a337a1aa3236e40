// What differs, in words: for the one line of MOONLET_VERBOSE.

#include "base/line.h"
#include "image/answer.h"
#include "image/ask.h"

namespace moonlet::image {

void describe(const Difference& difference, char* words, uint32_t size) {
  Line line(words, size);
  const Question* question = difference.question;
  const char* rest = "the image's questions are damaged";
  switch (question->asked) {
    case Asked::kDirectory:  // never the one that differs
      break;
    case Asked::kBase:
    case Asked::kFile:
    case Asked::kLink:
    case Asked::kKind:
    case Asked::kTarget:
    case Asked::kContent:
      if (difference.base != nullptr) {
        line.add(text_of(difference.base));
        line.add("/");
      }
      line.add(text_of(question));
      rest = question->answer == kAbsent && question->asked != Asked::kBase ? " is there now" : " has changed";
      break;
    case Asked::kVariable:
      line.add(text_of(question), question->aux);
      rest = " differs from the image's";
      break;
    case Asked::kVariables:
      line.add(text_of(question));
      rest = *text_of(question) == '\0' ? "the environment differs from the image's"
                                        : "* differs from the image's";
      break;
    case Asked::kTerminal: {
      static const char* const kNames[] = {"standard input", "standard output", "standard error"};
      const uint32_t fd = question->aux & kDescriptor;
      line.add(fd < 3 ? kNames[fd] : "a descriptor");
      rest = " is another terminal";
      break;
    }
    case Asked::kWorkingDirectory:
      rest = "the working directory is another";
      break;
    case Asked::kUser:
      rest = "the user is another";
      break;
    case Asked::kHost:
      rest = "the host is another";
      break;
    case Asked::kProcessors:
      rest = "the processors are others";
      break;
    case Asked::kLimit:
      rest = "a resource limit is another";
      break;
  }
  line.add(rest);
}

}  // namespace moonlet::image
