#include "ctl/words_of_status.h"

namespace moonlet::ctl {

Reason words_of(protocol::Declined why) {
  using protocol::Declined;
  switch (why) {
    case Declined::kOtherUser:
      return {"other_user", "of another user"};
    case Declined::kConfined:
      return {"confined", "confined"};
    case Declined::kPidNamespace:
      return {"pid_namespace", "in another pid namespace"};
    case Declined::kOtherLua:
      return {"other_lua", "for another Lua"};
    case Declined::kRequest:
      return {"request", "without a valid request"};
    case Declined::kStrings:
      return {"strings", "with too long arguments"};
    case Declined::kDirectory:
      return {"directory", "in a closed directory"};
    case Declined::kDescriptors:
      return {"descriptors", "for their descriptors"};
    case Declined::kLimits:
      return {"limits", "for their limits"};
    case Declined::kResources:
    case Declined::kReasons:
      break;
  }
  return {"resources", "for want of memory"};
}

void count_questions(const image::Inspection& image, Kind (&kinds)[kKindsOfQuestions]) {
  using image::Asked;
  uint32_t number[image::Inspection::kKinds];
  image.count(number);
  const auto of = [&number](Asked asked) { return number[static_cast<size_t>(asked)]; };
  const Kind all[kKindsOfQuestions] = {
      {"files", "file", "files", of(Asked::kFile) + of(Asked::kKind), true},
      {"links", "link", "links", of(Asked::kLink) + of(Asked::kTarget), true},
      {"directories", "directory", "directories", of(Asked::kDirectory), true},
      {"libraries", "library", "libraries", image.has_image() ? image.tables.header().files : 0, true},
      {"contents", "content of /proc", "contents of /proc", of(Asked::kContent), false},
      {"variables", "variable", "variables", of(Asked::kVariable) + of(Asked::kVariables), false},
      {"terminal", "terminal", "terminals", of(Asked::kTerminal), false},
      {"working_directory", "the working directory", nullptr, of(Asked::kWorkingDirectory), false},
      {"user", "the user", nullptr, of(Asked::kUser), false},
      {"host", "the host's name", nullptr, of(Asked::kHost), false},
      {"processors", "the processors", nullptr, of(Asked::kProcessors), false},
      {"limits", "limit", "limits", of(Asked::kLimit), false}};
  for (int i = 0; i < kKindsOfQuestions; i++) kinds[i] = all[i];
}

}  // namespace moonlet::ctl
