// An environment variable as it was at some moment.
#pragma once

namespace moonlet {

class RememberedVariable {
 public:
  /// Remembers the variable `name` as it is now, in a copy from malloc(3). The copy of an earlier call is not
  /// freed.
  void remember(const char* name);

  /// Whether the variable `name` is now what it was: the same text, or not set.
  [[nodiscard]] bool is_as_before(const char* name) const;

 private:
  char* value_ = nullptr;  // null: not set
};

}  // namespace moonlet
