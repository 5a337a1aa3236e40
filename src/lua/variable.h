// An environment variable as it was at some moment.
#pragma once

namespace moonlet {

class RememberedVariable {
 public:
  /// Remembers the variable `name` as it is now. It takes a copy from malloc(3), which nobody frees: in a layer
  /// the copy before lies in a page that is shared with the image below.
  void remember(const char* name);

  /// Whether the variable `name` is set now to what was remembered, or as little set.
  [[nodiscard]] bool is_as_before(const char* name) const;

 private:
  char* value_ = nullptr;  // null: not set
};

}  // namespace moonlet
