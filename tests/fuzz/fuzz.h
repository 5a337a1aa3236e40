// What every target stands on. A target includes the source that it is about, behind macros that stand for the
// calls which would end, signal or block this process: so the code under test is what ships, and needs no seam.
#pragma once

#include <dirent.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace moonlet::fuzz {

/// A promise of the code under test. Broken, it is a finding.
#define PROMISE(condition)                                                    \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                \
    }                                                                         \
  } while (false)

/// The bytes of an input, one after another; zeros behind its end.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  [[nodiscard]] size_t left() const { return static_cast<size_t>(end_ - at_); }

  /// The next bytes, at most `wanted`, and how many they are.
  const uint8_t* take(size_t wanted, size_t& got) {
    got = wanted < left() ? wanted : left();
    const uint8_t* taken = at_;
    at_ += got;
    return taken;
  }

  template <typename Number>
  Number number() {
    Number value = {};
    size_t got = 0;
    const uint8_t* taken = take(sizeof value, got);
    if (got > 0) memcpy(&value, taken, got);
    return value;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

/// In the place of write(2) and writev(2): reads what would be printed.
inline ssize_t print(const void* text, size_t size) {
  static char printed[32768];
  PROMISE(size <= sizeof printed);
  memcpy(printed, text, size);
  return static_cast<ssize_t>(size);
}

inline ssize_t print(const iovec* parts, size_t count) {
  for (size_t i = 0; i < count; i++) print(parts[i].iov_base, parts[i].iov_len);
  return 0;
}

/// Closes on its way out every descriptor that an input has left open.
class Descriptors {
 public:
  Descriptors() : first_(dup(STDERR_FILENO)) { close(first_); }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  ~Descriptors() { syscall(SYS_close_range, first_, ~0U, 0); }

 private:
  int first_;
};

/// Where the code under test goes when it would end this process.
inline jmp_buf way_out;

[[noreturn]] inline void leave() { longjmp(way_out, 1); }

}  // namespace moonlet::fuzz
