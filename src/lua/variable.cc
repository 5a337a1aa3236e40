#include "lua/variable.h"

#include <stdlib.h>
#include <string.h>

namespace moonlet {

void RememberedVariable::remember(const char* name) {
  const char* now = getenv(name);
  value_ = now != nullptr ? strdup(now) : nullptr;
}

bool RememberedVariable::is_as_before(const char* name) const {
  const char* now = getenv(name);
  if (now == nullptr || value_ == nullptr) return now == value_;
  return strcmp(now, value_) == 0;
}

}  // namespace moonlet
