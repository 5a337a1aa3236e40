#include "protocol/answer.h"

#include "base/clock.h"
#include "base/unique_fd.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::protocol {

namespace {

constexpr size_t kMostBytes = 64 << 20;
constexpr int kPatienceSeconds = 5;              // for a moonletd that says nothing
constexpr int kAttempts = 200;                   // twice as long as an answer may take
constexpr useconds_t kBetweenAttempts = 20'000;  // microseconds

enum class Outcome { kAnswered, kBusy, kFailed };

// Takes the parts of an answer from its beginning.
class Parts {
 public:
  explicit Parts(const Bytes& bytes) : at_(bytes.data), end_(at_ + bytes.size) {}

  template <typename Part>
  bool take(Part& part) {
    if (static_cast<size_t>(end_ - at_) < sizeof part) return false;
    memcpy(&part, at_, sizeof part);
    at_ += sizeof part;
    return true;
  }

  bool take_launches(Answer& answer) {
    const size_t count = answer.counts.connections;
    if (static_cast<size_t>(end_ - at_) / sizeof *answer.launch < count) return false;
    answer.launch = reinterpret_cast<const LaunchStatus*>(at_);
    at_ += count * sizeof *answer.launch;
    return true;
  }

  bool take_text(const char*& text) {
    const void* const nul = memchr(at_, '\0', static_cast<size_t>(end_ - at_));
    if (nul == nullptr) return false;
    text = at_;
    at_ = static_cast<const char*>(nul) + 1;
    return true;
  }

 private:
  const char* at_;
  const char* end_;
};
static_assert((sizeof(StatusHead) + sizeof(StatusCounts)) % alignof(LaunchStatus) == 0);

// A moonletd that refuses says why, as it does to one that wants a launch.
bool is_refusal(const Bytes& bytes, Problem& problem) {
  Report report;
  if (!Parts(bytes).take(report) || report.kind != ReportKind::kDeclined) return false;
  const size_t rest = bytes.size - sizeof report;
  const auto length = static_cast<size_t>(report.value);
  problem.add("%.*s", static_cast<int>(length < rest ? length : rest), bytes.data + sizeof report);
  return true;
}

bool parse(Answer& answer, Problem& problem) {
  if (is_refusal(answer.bytes, problem)) return false;
  Parts parts(answer.bytes);
  if (!parts.take(answer.head) || answer.head.magic != kStatusMagic) {
    problem.add("what answers there does not tell its status");
    return false;
  }
  answer.head.moonletd[sizeof answer.head.moonletd - 1] = '\0';
  if (answer.head.version != kStatusVersion || answer.head.launch_bytes != sizeof *answer.launch) {
    problem.add("moonletd is of version %s, and its status is for who is of that version too",
                answer.head.moonletd);
    return false;
  }
  answer.error = answer.reason = answer.unused = "";
  const bool complete = parts.take(answer.counts) && parts.take_launches(answer) && parts.take(answer.known) &&
                        parts.take(answer.declined) && parts.take_text(answer.error) &&
                        parts.take_text(answer.reason) && parts.take_text(answer.unused);
  if (!complete) problem.add("the answer broke off");
  return complete;
}

void close_image(Answer& answer) {
  if (answer.image >= 0) close(answer.image);
  answer.image = -1;
}

// An address of its own is what tells who asks for the status from who wants a launch.
bool take_some_address(int socket) {
  const sa_family_t family = AF_UNIX;  // and no more: the kernel chooses the rest (unix(7), autobind)
  return bind(socket, reinterpret_cast<const sockaddr*>(&family), sizeof family) == 0;
}

Outcome attempt(const SocketAddress& address, Answer& answer, Problem& problem) {
  const auto failed = [&](int error) {
    const bool nobody = error == ENOENT || error == ECONNREFUSED;
    problem.error = error;
    problem.add("%s%s", strerror(error), nobody ? " (is moonletd running?)" : "");
    return Outcome::kFailed;
  };
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience = {kPatienceSeconds, 0};
  if (!socket.valid() || !take_some_address(socket.get()) ||
      setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
      setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
      connect(socket.get(), address.get(), address.size()) != 0)
    return failed(errno == EAGAIN ? ETIMEDOUT : errno);
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return failed(errno);
  // A moonletd that knows of no status would wait for a request: here is none.
  shutdown(socket.get(), SHUT_WR);
  answer.pid = peer.pid;
  close_image(answer);
  const bool whole = receive_bytes(socket.get(), kMostBytes, answer.bytes, answer.image);
  if (!whole && errno != ECONNRESET) return failed(errno == EAGAIN ? ETIMEDOUT : errno);
  if (answer.bytes.size == 0) return Outcome::kBusy;
  return parse(answer, problem) ? Outcome::kAnswered : Outcome::kFailed;
}

}  // namespace

void release(Answer& answer) {
  close_image(answer);
  free_bytes(answer.bytes);
}

bool ask(const SocketAddress& address, Answer& answer, Problem& problem) {
  problem = {};
  problem.add("connect %s: ", address.un.sun_path);
  if (!address.fits) {
    problem.error = ENAMETOOLONG;
    problem.add("%s", strerror(ENAMETOOLONG));
    return false;
  }
  for (int i = 0; i < kAttempts; i++) {
    const Outcome outcome = attempt(address, answer, problem);
    if (outcome != Outcome::kBusy) return outcome == Outcome::kAnswered;
    usleep(kBetweenAttempts);
  }
  problem.add("moonletd has no answer, or is busy with those for others");
  return false;
}

NamedCounts name_counts(const Answer& answer) {
  const StatusCounts& counts = answer.counts;
  return {{{"launches", counts.launches},
           {"failed", counts.failed},
           {"killed", counts.killed},
           {"declined", declined(answer)},
           {"running", counts.running},
           {"waiting", counts.connections - counts.running},
           {"images", answer.known.images},
           {"failed_warm_ups", answer.known.failures}}};
}

uint32_t declined(const Answer& answer) {
  uint32_t all = 0;
  for (const uint32_t count : answer.declined) all += count;
  return all;
}

pid_t parent_of_scripts(const Answer& answer) { return answer.pid != 0 ? answer.counts.server : 0; }

uint32_t seconds_since(uint32_t time) {
  const uint32_t seconds = seconds_since_boot();
  return seconds > time ? seconds - time : 0;
}

const char* name_of_lua(uint32_t code) {
  switch (code) {
    case 501:
      return "Lua 5.1";
    case 502:
      return "Lua 5.2";
    case 503:
      return "Lua 5.3";
    case 504:
      return "Lua 5.4";
    case 505:
      return "Lua 5.5";
    case kLuaJit:
      return "LuaJIT";
    default:
      return "another Lua";
  }
}

}  // namespace moonlet::protocol
