// The images of MOONLET_WARM: a directory, in which each has a name as image/cache_path.h says.
#pragma once

#include "base/unique_fd.h"
#include "image/cache_path.h"

#include <stdint.h>
#include <time.h>

namespace moonlet::ctl {

/// An image in the cache.
struct CachedImage {
  char name[image::CachePath::kNameLength + 1];  // of the warm-up
  int slot;
  uint64_t bytes;  // that it takes on the disk
  timespec made;
  timespec used;  // the last time; not behind `made`: never

  [[nodiscard]] bool was_used() const;

  /// Whether it should rather go than `other`: what nobody has used goes first, then what was used longest ago.
  [[nodiscard]] bool goes_before(const CachedImage& other) const;
};

/// Owns its list, and the descriptor. Move it nowhere.
class Cache {
 public:
  Cache() = default;
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;
  ~Cache();

  /// Opens the directory at `path`, which is written to and put right. False if it is not there (errno), or if
  /// others than root and this user could write there (errno is 0).
  [[nodiscard]] bool open(char* path);

  /// Lists what is there now, by warm-up and slot. Fails without memory.
  void list();

  /// What list() has found.
  [[nodiscard]] const CachedImage* begin() const { return image_; }
  [[nodiscard]] const CachedImage* end() const { return image_ + count_; }
  [[nodiscard]] uint64_t bytes() const;

  /// Removes an image that list() has found. It stays in the list. A launch that has it
  /// mapped keeps it.
  void remove(const CachedImage& image) const;

  /// Opens the log of a warm-up, and makes it if need be. -1: that cannot be.
  [[nodiscard]] UniqueFd open_log(const char* name) const;

  /// Removes it.
  void remove_log(const char* name) const;

  /// Calls `each` with the name of every warm-up that has a log.
  void for_each_log(void (*each)(const char* name, void* context), void* context) const;

  /// Removes what freezes that were killed have left, if none is under way.
  void remove_leftovers() const;

  [[nodiscard]] int directory() const { return directory_.get(); }

 private:
  void add(const CachedImage& image);

  UniqueFd directory_;
  CachedImage* image_ = nullptr;
  size_t count_ = 0;
  size_t room_ = 0;
};

/// Whether `a` is later than `b`.
bool is_later(const timespec& a, const timespec& b);

}  // namespace moonlet::ctl
