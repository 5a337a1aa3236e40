// The launches that the zygote knows, and what poll(2) waits for on their behalf. It keeps the books; what
// an event means is for serve.cc to say.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace moonlet::zygote {

struct Launch {
  pid_t pid;  // 0: its request has not come; -1: refused, to be forgotten
  ucred peer;
};

class Launches {
 public:
  // Never destroyed: the zygote ends with its process, and a child must not touch what it shares.
  Launches() = default;
  Launches(const Launches&) = delete;
  Launches& operator=(const Launches&) = delete;

  /// To be called first. `max`: forked at once; 0 for as many as there are descriptors for.
  void begin(int listener, int signals, int max);

  /// Waits for an event, for `timeout` milliseconds or, if that is -1, as long as it takes. With `max` launches
  /// running, new connections and requests are none, nor are requests beyond their user's share. False if the
  /// time ran out.
  bool wait(int timeout);

  [[nodiscard]] bool has_connection() const { return polled_[kListener].revents != 0; }
  [[nodiscard]] bool has_signal() const { return polled_[kSignals].revents != 0; }

  /// Index of the next connection after `index` (-1 at first) with an event of this turn, or -1. A request
  /// beyond `max` is none.
  [[nodiscard]] int next_event(int index) const;

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

  /// The child was reaped: closes the connection and forgets it. Moves another into its place.
  void end(int index);

  /// Closes and forgets a connection without a child. Moves another into its place.
  void drop(int index);

  /// Closes the oldest connection whose request has not come. False if there is none.
  bool drop_idle();

  /// Takes no connection until a launch ends.
  void pause() { paused_ = true; }

 private:
  static constexpr int kListener = 0;
  static constexpr int kSignals = 1;
  static constexpr int kFirst = 2;  // polled_[kFirst + i] belongs to launch_[i]

  bool reserve(int count);
  void forget(int index);
  [[nodiscard]] bool has_room() const { return max_ == 0 || running_ < max_; }
  [[nodiscard]] bool has_room_for(uid_t user) const;

  int listener_ = 0;
  int max_ = 0;
  int running_ = 0;  // launches with a child
  int count_ = 0;
  int capacity_ = 0;
  bool paused_ = false;
  pollfd* polled_ = nullptr;  // a connection that is not of interest is there as ~fd, which poll skips
  Launch* launch_ = nullptr;
};

}  // namespace moonlet::zygote
