// Bytes that grow at their end: what is about to be printed.
#pragma once

#include <stddef.h>

namespace moonlet::ctl {

/// Without memory for more, the program fails. Move-only.
class Text {
 public:
  Text() = default;
  Text(Text&& other) noexcept;
  Text& operator=(Text&& other) noexcept;
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  ~Text();

  void add(const char* bytes, size_t size);
  void add(const char* text);
  void add(const Text& text) { add(text.bytes(), text.size()); }
  void add_spaces(int count);
  [[gnu::format(printf, 2, 3)]] void format(const char* format, ...);

  /// Writes all of it to `descriptor`. False on an error, which errno names.
  [[nodiscard]] bool write_to(int descriptor) const;

  void cut(size_t size) { size_ = size; }

  [[nodiscard]] size_t size() const { return size_; }

  /// The bytes, and a NUL behind them, until the next one is added.
  [[nodiscard]] const char* bytes() const;

 private:
  char* reserve(size_t more);

  char* bytes_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace moonlet::ctl
