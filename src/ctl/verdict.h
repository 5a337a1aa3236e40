// In a word or some: whether launches are warm.
#pragma once

#include "ctl/answer.h"

namespace moonlet::ctl {

struct Verdict {
  enum Kind { kGood, kAttention, kBad } kind;
  const char* text;
};

Verdict judge(const Answer& answer);

}  // namespace moonlet::ctl
