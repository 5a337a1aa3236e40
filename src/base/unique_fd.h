// An owned file descriptor: closed when its owner goes out of scope. Move-only.
#pragma once

#include <unistd.h>

namespace moonlet {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

  /// Gives the descriptor up: the caller closes it.
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }

  /// Closes what is owned and owns `fd` instead. A failing close(2) loses nothing here: all that we
  /// hold in this way are sockets, pidfds and directories, which have no data to write back.
  void reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;  // -1: owns nothing
};

}  // namespace moonlet
