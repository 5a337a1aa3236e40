// What a status has by numbers, in words: for people and for programs.
#pragma once

#include "image/inspection.h"
#include "protocol/status.h"

namespace moonlet::ctl {

/// A reason for which clients were declined.
struct Reason {
  const char* name;   // for programs
  const char* words;  // for people
};
Reason words_of(protocol::Declined why);

/// Questions of an image that are of one kind for people.
struct Kind {
  const char* name;  // for programs
  const char* one;
  const char* many;  // null: there is one at most that matters
  uint32_t count;
  bool is_of_files;
};

/// `kinds` gets all there are, those without a question too.
constexpr int kKindsOfQuestions = 12;
void count_questions(const image::Inspection& image, Kind (&kinds)[kKindsOfQuestions]);

}  // namespace moonlet::ctl
