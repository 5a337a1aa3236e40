// What the keeper reads of an image: what its warm-up has asked of the world, and whether that would be
// answered in the same way now.
#pragma once

#include "base/file_identity.h"
#include "image/inspection.h"

#include <stddef.h>

namespace moonlet::server {

class Frozen {
 public:
  Frozen() = default;
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;
  ~Frozen() { image_.forget(); }

  /// Reads the tables of the image at `path`, in the place of those that it had. False, with none, if there is
  /// no image of this build, or no memory.
  bool read(const char* path);

  /// Which file it has read.
  [[nodiscard]] const FileIdentity& file() const { return file_; }

  /// Whether the image that was read last is at `path`, and nobody has cut it short.
  [[nodiscard]] bool is_at(const char* path) const;

  /// Asks again what is the same for all launches: files, contents of /proc, the host, the processors. False if
  /// each answer is the image's, or there is no image. Else `words`, of `size` bytes, gets what differs.
  [[nodiscard]] bool differs(char* words, size_t size) const;

  /// Whether a file that was asked for has changed since the image came to lie at `image`: then neither by its
  /// warm-up nor by the freeze, which renames it into a directory.
  [[nodiscard]] bool has_changed_since(const char* image) const;

  /// Calls `each` with the path of every file that was asked for, and of those that libraries are mapped from.
  /// A path lives during the call.
  void for_each_path(image::Inspection::Each each, void* context) const { image_.for_each_path(each, context); }

 private:
  image::Inspection image_;
  FileIdentity file_;
};

}  // namespace moonlet::server
