#include "ctl/text.h"

#include "ctl/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::ctl {

Text::Text(Text&& other) noexcept : bytes_(other.bytes_), size_(other.size_), capacity_(other.capacity_) {
  other.bytes_ = nullptr;
  other.size_ = other.capacity_ = 0;
}

Text& Text::operator=(Text&& other) noexcept {
  if (this == &other) return *this;
  free(bytes_);
  bytes_ = other.bytes_;
  size_ = other.size_;
  capacity_ = other.capacity_;
  other.bytes_ = nullptr;
  other.size_ = other.capacity_ = 0;
  return *this;
}

Text::~Text() { free(bytes_); }

// Where `more` bytes have room, and a NUL behind them.
char* Text::reserve(size_t more) {
  if (size_ + more >= capacity_) {
    capacity_ = 2 * (size_ + more) + 64;
    void* grown = realloc(bytes_, capacity_);
    if (grown == nullptr) fail("not enough memory");
    bytes_ = static_cast<char*>(grown);
  }
  return bytes_ + size_;
}

void Text::add(const char* bytes, size_t size) {
  char* const end = reserve(size);
  if (size > 0) memcpy(end, bytes, size);
  size_ += size;
}

void Text::add(const char* text) { add(text, strlen(text)); }

void Text::add_spaces(int count) {
  if (count <= 0) return;
  memset(reserve(static_cast<size_t>(count)), ' ', static_cast<size_t>(count));
  size_ += static_cast<size_t>(count);
}

void Text::format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int size = vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  if (size < 0) fail("printf: %s", strerror(errno));
  char* const end = reserve(static_cast<size_t>(size));
  va_start(arguments, format);
  vsnprintf(end, static_cast<size_t>(size) + 1, format, arguments);
  va_end(arguments);
  size_ += static_cast<size_t>(size);
}

bool Text::write_to(int descriptor) const {
  for (size_t done = 0; done < size_;) {
    const ssize_t written = write(descriptor, bytes_ + done, size_ - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    done += static_cast<size_t>(written);
  }
  return true;
}

const char* Text::bytes() const {
  if (bytes_ == nullptr) return "";
  bytes_[size_] = '\0';
  return bytes_;
}

}  // namespace moonlet::ctl
