// Which files are worth a look: the kernel tells when one of them, or something on the way to it, may have
// changed. Whether it has is for the image's questions to say.
#pragma once

#include "base/unique_fd.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::server {

class Watch {
 public:
  Watch() = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Watches nothing, from now on, but what is added. Where the kernel has no inotify(7) it tells of no change.
  void begin();

  /// Watches what `path` leads to, and every directory and symbolic link on its way: also where there is
  /// nothing yet. Relative to the working directory. Not what the kernel makes up in /proc and /sys.
  void add(const char* path);

  /// Readable when has_changed() may be true; -1: never.
  [[nodiscard]] int descriptor() const { return inotify_.get(); }

  /// Takes what the kernel has told up to now. True if it is about something that is watched.
  bool has_changed();

 private:
  // A set of keys: names in watched directories, as numbers. Two things with one key: a change of the one
  // passes for a change of the other, which costs a look, once in billions.
  class Keys {
   public:
    Keys() = default;
    Keys(const Keys&) = delete;
    Keys& operator=(const Keys&) = delete;
    ~Keys() { clear(); }
    [[nodiscard]] bool has(uint32_t key) const { return capacity_ != 0 && *slot(key) == key; }
    bool add(uint32_t key);  // false without memory
    void clear();

   private:
    [[nodiscard]] uint32_t* slot(uint32_t key) const;
    bool grow();

    uint32_t* table_ = nullptr;
    uint32_t capacity_ = 0;  // a power of two, or none
    uint32_t count_ = 0;
  };

  bool tell(char* path, size_t length, uint32_t events);
  bool follow(const char* path);

  UniqueFd inotify_;
  Keys keys_;
};

}  // namespace moonlet::server
