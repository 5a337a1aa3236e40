// A moonletd of the test's own, and what the kernel says of it.
#pragma once

#include <sys/types.h>
#include <string>
#include <vector>

namespace moonlet::load {

/// What a moonletd takes of the machine. Sizes are in KB.
struct Sample {
  long resident = 0;      ///< VmRSS
  long proportional = 0;  ///< Pss
  long private_dirty = 0;
  long anonymous = 0;  ///< all that it has written, shared with children or not: what would grow
  long page_tables = 0;
  int descriptors = 0;
  int children = 0;
  int zombies = 0;  ///< of the children
};

std::vector<pid_t> children_of(pid_t pid);

class Moonletd {
 public:
  /// Starts PROGRAMS/moonletd with its socket and log in `directory`. It serves when the constructor returns.
  /// It gets SIGTERM when this process dies, however that happens.
  Moonletd(const std::string& programs, const std::string& modules, const std::string& directory, int max,
           bool trusts);

  /// The process that listens, and whose children scripts are; moonletd itself keeps the image.
  [[nodiscard]] pid_t server() const { return server_; }
  [[nodiscard]] bool trusts() const { return trusts_; }
  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] std::string name() const;
  /// Path of its image.
  [[nodiscard]] std::string image() const { return socket_.substr(0, socket_.size() - 5) + ".image"; }

  /// The environment of its clients, for exec.
  [[nodiscard]] char* const* environment() { return environment_.data(); }

  [[nodiscard]] Sample sample() const;

  /// Waits until no launch runs or waits; false if that does not happen within 10 seconds.
  [[nodiscard]] bool becomes_quiet() const;

  /// Waits until so many connections are open, accepted or not; false if that does not happen within 10
  /// seconds.
  [[nodiscard]] bool has_connections(int count) const;

  /// What it has logged, but for where it serves and which clients left early. At most 4 KB.
  [[nodiscard]] std::string unexpected_log() const;

  /// SIGTERM, and SIGKILL if that does not end it within 10 seconds. Returns the wait status.
  int stop();

 private:
  /// As /proc/net/unix lists them: also what waits in the listen queue.
  [[nodiscard]] int connections() const;

  std::string socket_, log_;
  std::vector<std::string> strings_;
  std::vector<char*> environment_;
  bool trusts_;
  pid_t pid_ = 0;
  pid_t server_ = 0;
};

}  // namespace moonlet::load
