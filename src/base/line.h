// A line of text that is put together in memory of the caller's. What does not fit is left out.
#pragma once

#include <stddef.h>
#include <string.h>

namespace moonlet {

class Line {
 public:
  /// `size`: of the memory at `at`, with the zero that always ends the text.
  Line(char* at, size_t size) : begin_(at), at_(at), end_(at + size - 1) { *at_ = '\0'; }

  void add(const char* text, size_t size) {
    const auto room = static_cast<size_t>(end_ - at_);
    if (size > room) size = room;
    memcpy(at_, text, size);
    at_ += size;
    *at_ = '\0';
  }
  void add(const char* text) { add(text, strlen(text)); }

  [[nodiscard]] size_t size() const { return static_cast<size_t>(at_ - begin_); }

 private:
  char* begin_;
  char* at_;
  char* end_;  // of the last byte, which is a zero
};

}  // namespace moonlet
