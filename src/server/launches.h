// The launches that the server knows, and what poll(2) waits for on their behalf. It keeps the books; what
// an event means is for serve.cc to say.
#pragma once

#include "protocol/status.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace moonlet::server {

// Laid out as status requests have it.
struct Launch {
  pid_t pid;  // 0: its request has not come; -1: refused, to be forgotten
  ucred peer;
  uint32_t started;
};
static_assert(sizeof(Launch) == sizeof(protocol::LaunchStatus));

class Launches {
 public:
  // Never destroyed: the server ends with its process.
  Launches() = default;
  Launches(const Launches&) = delete;
  Launches& operator=(const Launches&) = delete;

  /// To be called first. `keeper`: a socket whose other end is the keeper's. `max`: forked at once; 0 for as
  /// many as there are descriptors for.
  void begin(int listener, int signals, int keeper, int max);

  [[nodiscard]] int count() const { return count_; }

  /// Waits for an event. With `max` launches running, requests are none, nor are requests beyond their user's
  /// share. False if there was none: it waited long enough for a connection to be taken again.
  bool wait();

  [[nodiscard]] bool has_connection() const { return polled_[kListener].revents != 0; }
  [[nodiscard]] bool has_signal() const { return polled_[kSignals].revents != 0; }
  [[nodiscard]] bool has_lost_keeper() const { return polled_[kKeeper].revents != 0; }

  /// Index of the next connection after `index` (-1 at first) with an event of this turn, or -1. A request
  /// beyond `max` is none.
  [[nodiscard]] int next_event(int index) const;

  /// Whether so many wait that one more would be a burden on all: each turn looks at every one, and each fork
  /// copies its descriptor.
  [[nodiscard]] bool is_crowded() const {
    return static_cast<uint32_t>(count_) - counts.running >= kMostWaiting;
  }

  /// Whether the event at `index` is that the client has closed the connection.
  [[nodiscard]] bool client_left(int index) const;

  Launch& at(int index) { return launch_[index]; }
  [[nodiscard]] int connection(int index) const;

  /// Index of the launch of process `pid`, or -1.
  [[nodiscard]] int find(pid_t pid) const;

  /// Takes a connection whose request is to come, and owns it. False without memory: not taken.
  bool add(int connection, const ucred& peer);

  /// at(index).pid has become that of a child, or -1: only the client's leaving is of interest now, or
  /// nothing, and the connection is already closed.
  void forked(int index);

  /// The client has left: no further event of it is of interest.
  void ignore_client(int index);

  /// The child was reaped, with that wait status: closes the connection and forgets it. Those behind it move
  /// up.
  void end(int index, int status);

  /// Closes and forgets a connection without a child. Those behind it move up.
  void drop(int index);

  /// Closes the oldest connection whose request has not come. False if there is none, or if all may have sent
  /// theirs because `max` launches are running.
  bool drop_idle();

  /// Takes no connection any more, and is not told any more that the keeper has gone.
  void close_to_all() { listener_ = polled_[kKeeper].fd = -1; }

  /// Takes no connection until a launch ends, or until nothing has happened for a second.
  void pause() { paused_ = true; }

  /// Writes `counts`, then all launches, to `connection`: see protocol/status.h.
  void describe(int connection);

  /// What has been counted, for serve.cc to add what it alone knows.
  protocol::StatusCounts counts = {};

 private:
  static constexpr uint32_t kMostWaiting = 4096;  // as many again wait in the listen queue
  static constexpr int kListener = 0;
  static constexpr int kSignals = 1;
  static constexpr int kKeeper = 2;
  static constexpr int kFirst = 3;  // polled_[kFirst + i] belongs to launch_[i]

  bool reserve(int count);
  void forget(int index);
  void shrink();
  [[nodiscard]] bool has_room() const { return counts.max == 0 || counts.running < counts.max; }
  [[nodiscard]] bool has_room_for(uid_t user) const;
  void runs_for(uid_t user);
  void ran_for(uid_t user);

  int listener_ = 0;
  int count_ = 0;
  int capacity_ = 0;
  bool paused_ = false;
  pollfd* polled_ = nullptr;  // a connection that is not of interest is there as ~fd, which poll skips
  Launch* launch_ = nullptr;
  uid_t* user_ = nullptr;  // of each launch that runs, in no order
};

}  // namespace moonlet::server
