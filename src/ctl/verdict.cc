#include "ctl/verdict.h"

namespace moonlet::ctl {

Verdict judge(const Answer& answer) {
  const protocol::Known& known = answer.known;
  const bool is_failing = known.is_failing != 0;
  if (answer.image < 0 || known.is_outdated != 0) {
    if (known.is_making != 0) return {Verdict::kAttention, "cold, a warm-up runs"};
    if (is_failing) return {Verdict::kBad, "cold, the warm-up fails"};
    return {Verdict::kAttention, "cold, the image is outdated"};
  }
  return is_failing ? Verdict{Verdict::kAttention, "warm, but the last warm-up failed"}
                    : Verdict{Verdict::kGood, "warm"};
}

}  // namespace moonlet::ctl
