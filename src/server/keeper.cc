#include "server/keeper.h"

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/unique_fd.h"
#include "child/log.h"
#include "server/bulletin.h"
#include "server/frozen.h"
#include "server/leftovers.h"
#include "server/listener.h"
#include "server/maker.h"
#include "server/options.h"
#include "server/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

using Milliseconds = int64_t;

constexpr Milliseconds kQuiet = 50;           // after a change: editors write in several steps
constexpr Milliseconds kLongestQuiet = 1000;  // however often something changes
constexpr Milliseconds kAfterLaunch = 1000;   // for what inotify does not tell
constexpr unsigned kMostDoublings = 12;       // of kQuiet: 205 seconds
constexpr Milliseconds kForgiven = 20;  // times as long as it would wait: then what was in vain does not count
constexpr uint32_t kFirstComplaints = 8;

enum class State {
  kRight,  // as far as anybody has told, the image is
  kLook,   // at `at_` the image's questions are asked, and a new one is made if an answer differs
  kWait,   // at `at_` a new one is made
  kMake,   // a warm-up runs, until `at_` at the latest
};

enum class Told { kByKernel, kByLaunch, kLaunched };

class Keeper {
 public:
  explicit Keeper(const Post& post) : post_(post), bulletin_(post.bulletin) {}

  int run() {
    if (!maker_.prepare(post_.options, post_.image, post_.directory, post_.mask)) fail("not enough memory");
    if (!post_.options.trust) mounts_.reset(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    make();
    while (!is_over_) take_events();
    if (maker_.pid() != 0) {
      maker_.end();
      remove_leftovers(post_.image);
    }
    return status_;
  }

 private:
  // What may happen, and what follows from it in each state.

  void changed(Told told) {
    const Milliseconds time = milliseconds_now();
    const Milliseconds wanted = time + (told == Told::kLaunched ? kAfterLaunch : patience());
    is_sent_ |= told == Told::kByLaunch;
    if (state_ == State::kRight) {
      enter(State::kLook, wanted);
      latest_ = wanted + kLongestQuiet;
    } else if (state_ == State::kLook && told == Told::kByKernel) {
      at_ = wanted < latest_ ? wanted : latest_;
    } else if (state_ == State::kWait && told != Told::kLaunched && at_ > time + kLongestQuiet) {
      at_ = time + kLongestQuiet;  // somebody may have mended what has failed
    }
  }

  void asked_for_new_one() {
    in_vain_ = 0;
    is_asked_ = state_ == State::kMake;
    say_why("it was asked for");
    if (!is_asked_) enter(State::kWait, milliseconds_now());
  }

  void time_is_up() {
    if (state_ == State::kMake) {
      maker_.kill();
      is_late_ = true;
      at_ = milliseconds_now() + kLongestQuiet;  // it dies soon
    } else if (state_ == State::kWait || differs() || has_enough_of_complaints()) {
      make();
    } else {
      enter(State::kRight, 0);
    }
  }

  void made(int status) {
    // Another file may get the number of one that was gone before.
    const bool is_new =
        status == 0 && !(had_image_ && frozen_.file().is_at(post_.image)) && frozen_.read(post_.image);
    char words[sizeof bulletin_.error];
    const bool is_news = maker_.report(!is_new, words, sizeof words);
    if (!is_new) {
      if (*words == '\0' || is_late_) say_end(status, words, sizeof words);
      failed(is_news, words);
    } else {
      // A user's own moonlet looks beside the socket. Where it may not read the image it is lua.
      if (post_.readers != 0) chmod(post_.image, S_IRUSR | S_IWUSR | post_.readers);
      bulletin_.known.is_making = 0;  // who reloads counts both
      bulletin_.known.images++;
      bulletin_.known.is_failing = 0;
      watch();
      if (is_served_) log_line("a new image: %s", bulletin_.difference);
      judge();
    }
    if (!is_served_) say_serving();
  }

  // What follows.

  void enter(State state, Milliseconds at) {
    state_ = state;
    at_ = at;
  }

  void make() {
    is_asked_ = is_late_ = is_sent_ = false;
    started_ = milliseconds_now();
    had_image_ = frozen_.file().is_at(post_.image);
    if (maker_.start()) {
      bulletin_.known.is_making = 1;
      enter(State::kMake, started_ + Milliseconds{post_.options.warm_up_seconds} * 1000);
    } else {
      in_vain_++;
      enter(State::kWait, started_ + patience());
    }
  }

  void failed(bool is_news, const char* why) {
    bulletin_.known.is_making = 0;
    bulletin_.known.failures++;
    bulletin_.known.failed_at = seconds_since_boot();
    bulletin_.known.is_failing = 1;
    if (is_news || strcmp(bulletin_.error, why) != 0) log_line("no new image: the warm-up failed");
    snprintf(bulletin_.error, sizeof bulletin_.error, "%s", why);
    remove_leftovers(post_.image);
    in_vain_++;
    enter(State::kWait, milliseconds_now() + (is_asked_ ? 0 : patience()));
  }

  // Of the new image.
  void judge() {
    if (is_asked_) return enter(State::kWait, milliseconds_now());
    if (differs()) {
      // The warm-up changes what it reads, or somebody else has in the meantime.
      in_vain_ = frozen_.has_changed_since(post_.image) ? 0 : in_vain_ + 1;
      return enter(State::kWait, milliseconds_now() + patience());
    }
    const bool is_of_use = has_launched_ || started_ - last_started_ > kForgiven * patience();
    in_vain_ = is_of_use ? 0 : in_vain_ + 1;
    last_started_ = started_;
    has_launched_ = false;
    bulletin_.hints_at_launch = 1;
    enter(State::kRight, 0);
  }

  // What it needs for that.

  // How long it waits after a change.
  [[nodiscard]] Milliseconds patience() const {
    return kQuiet << (in_vain_ < kMostDoublings ? in_vain_ : kMostDoublings);
  }

  [[nodiscard]] bool differs() {
    bulletin_.hints_at_launch = 1;
    bool is_outdated = !frozen_.is_at(post_.image);
    if (is_outdated) {
      say_why("the last one is gone");
    } else {
      is_outdated = frozen_.differs(bulletin_.difference, sizeof bulletin_.difference);
    }
    bulletin_.known.is_outdated = is_outdated;
    return is_outdated;
  }

  // Launches say again and again that the image is not right, and here it is. A new one may be for them too;
  // ever less often, since it may not.
  bool has_enough_of_complaints() {
    if (is_sent_) complaints_++;
    is_sent_ = false;
    if (complaints_ < most_complaints_) return false;
    complaints_ = 0;
    most_complaints_ *= 2;
    say_why("launches say that it does not fit");
    return true;
  }

  void say_why(const char* why) { snprintf(bulletin_.difference, sizeof bulletin_.difference, "%s", why); }

  void say_end(int status, char* words, size_t size) const {
    if (is_late_) {
      snprintf(words, size, "it took more than %d s", post_.options.warm_up_seconds);
    } else if (WIFSIGNALED(status)) {
      snprintf(words, size, "it died of signal %d", WTERMSIG(status));
    } else {
      snprintf(words, size, "it ended with status %d", WEXITSTATUS(status));
    }
    log_line("the warm-up: %s", words);
  }

  void say_serving() {
    log_line("serving %s at %s", MOONLET_LUA_NAME, post_.listener.name());
    announce_ready(post_.options.ready_fd);
    open_standard_descriptors();  // should that have been one of them
    is_served_ = true;
  }

  void watch() {
    if (post_.options.trust) return;
    watch_.begin();
    frozen_.for_each_path([](const char* path, void* it) { static_cast<Watch*>(it)->add(path); }, &watch_);
  }

  // Events.

  void take_events() {
    enum { kSignals, kServer, kFiles, kMounts, kOutput, kEvents };
    pollfd polled[kEvents] = {{post_.signals, POLLIN, 0},
                              {post_.channel, POLLIN, 0},
                              {watch_.descriptor(), POLLIN, 0},
                              {mounts_.get(), POLLPRI, 0},
                              {maker_.output(), POLLIN, 0}};
    Milliseconds timeout = -1;
    if (state_ != State::kRight) {
      timeout = at_ - milliseconds_now();
      if (timeout < 0) timeout = 0;
    }
    const int events = poll(polled, kEvents, static_cast<int>(timeout));
    if (events < 0) return;  // EINTR or ENOMEM: another turn mends it
    // Something may happen in every turn.
    if (events == 0 || timeout == 0) time_is_up();
    if (polled[kOutput].revents != 0) maker_.listen();
    if (polled[kFiles].revents != 0 && watch_.has_changed()) changed(Told::kByKernel);
    if (polled[kMounts].revents != 0) changed(Told::kByKernel);
    if (polled[kServer].revents != 0) take_hints();
    if (polled[kSignals].revents != 0) take_signal();
  }

  void take_hints() {
    char hints[64];
    const ssize_t got = read(post_.channel, hints, sizeof hints);
    if (got <= 0) return lose_server();
    for (ssize_t i = 0; i < got; i++) {
      has_launched_ |= hints[i] == static_cast<char>(Hint::kLaunched);
      changed(hints[i] == static_cast<char>(Hint::kLaunched) ? Told::kLaunched : Told::kByLaunch);
    }
  }

  void lose_server() {
    int status = 0;
    is_over_ = true;
    waitpid(post_.server, &status, 0);
    log_line("the process that serves has ended, with wait status %d", status);
    status_ = EXIT_FAILURE;
  }

  void take_signal() {
    signalfd_siginfo info;
    if (read(post_.signals, &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo == SIGCHLD) reap();
    if (info.ssi_signo == SIGHUP) asked_for_new_one();
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) is_over_ = true;
  }

  // The end of the server shows at the socket. Others than these two are here if this is the first process of a
  // pid namespace.
  void reap() {
    int status = 0;
    if (maker_.has_ended(status)) made(status);
    for (;;) {
      siginfo_t info = {};
      if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0 ||
          info.si_pid == post_.server || info.si_pid == maker_.pid())
        return;
      waitpid(info.si_pid, &status, 0);
    }
  }

  const Post& post_;
  Bulletin& bulletin_;
  State state_ = State::kRight;
  Milliseconds at_ = 0;            // of CLOCK_MONOTONIC
  Milliseconds latest_ = 0;        // kLook: then it looks, whatever is still being changed
  Milliseconds started_ = 0;       // the last warm-up
  Milliseconds last_started_ = 0;  // the last whose image was right
  unsigned in_vain_ = 0;           // warm-ups, one after the other, that failed, or whose image nobody has used
  bool had_image_ = false;         // when the last warm-up started
  bool is_asked_ = false;          // for another image, while one is made
  bool is_late_ = false;           // the warm-up has been killed because it took too long
  bool is_served_ = false;         // it has been said that moonletd serves
  bool is_sent_ = false;           // to look, by a launch
  bool has_launched_ = false;      // somebody has, since the image was made
  uint32_t complaints_ = 0;        // by launches, of an image that was found to be right
  uint32_t most_complaints_ = kFirstComplaints;
  bool is_over_ = false;
  int status_ = EXIT_SUCCESS;
  UniqueFd mounts_;
  Frozen frozen_;
  Watch watch_;
  Maker maker_;  // last, because it is large
};

}  // namespace

int keep(const Post& post) { return Keeper(post).run(); }

}  // namespace moonlet::server
