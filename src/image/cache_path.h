// Where the images of MOONLET_WARM lie: for the launch that looks for one, and for who makes it.
#pragma once

#include <limits.h>
#include <stddef.h>

namespace moonlet::image {

/// As many images of one warm-up are kept, made for different answers.
constexpr int kSlots = 4;

/// The path of a file in the cache: "DIRECTORY/NAME-N.image", or "DIRECTORY/NAME.log". NAME is a hash of the
/// warm-up and of what its images are for: this Lua, this build, this host, this root file system. It is
/// kNameLength letters.
class CachePath {
 public:
  static constexpr size_t kNameLength = 16;
  static constexpr char kLogEnding[] = ".log";

  /// Takes $XDG_CACHE_HOME/moonlet (an absolute one), else $HOME/.cache/moonlet. False where neither can be.
  bool set_directory();

  /// The name for this warm-up, the value of $MOONLET_WARM. Behind set_directory().
  void set_name(const char* warm_up);

  /// Each makes it the path of another file of that name. `slot`: 0 to kSlots - 1.
  void set_image(int slot);
  void set_log();

  [[nodiscard]] char* text() { return text_; }

  /// What is behind the directory.
  [[nodiscard]] const char* name() const { return text_ + directory_; }

  /// The bytes of text() that are the directory, with its slash.
  [[nodiscard]] size_t directory_length() const { return directory_; }

 private:
  bool set_directory(const char* first, const char* second);
  void set_ending(const char* ending);

  static constexpr size_t kLongestRest = kNameLength + sizeof "-N.image";
  char text_[PATH_MAX];  // not initialized: most of it is never touched
  size_t directory_ = 0;
};

}  // namespace moonlet::image
