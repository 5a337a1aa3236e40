// The load test: many launches of all kinds, forked by two moonletds or thawed from their images, each status
// and each byte of output compared with what it must be, and the moonletds with what they were. `scripts/load`
// runs it; docs/reliability.md has what came of it.

#include "driver.h"
#include "fail.h"
#include "moonletd.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>

namespace moonlet::load {

namespace {

constexpr int kInFlight = 6;
constexpr int kMax = 100;  // scripts at once, of a moonletd
constexpr uint64_t kCrowd = 1000;
constexpr uint64_t kRound = 10000;  // launches of a mix, before a crowd
// How much more a moonletd may have written, and have page tables for, than before its first launch.
constexpr long kGrowthKb = 16;

std::string directory;  // removed at the end

double now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

class Load {
 public:
  Load(const std::string& programs, const std::string& modules, uint64_t launches, uint64_t seed)
      : launches_(launches),
        random_(seed),
        driver_(programs, directory),
        moonletds_{Moonletd(programs, modules, directory, kMax, false),
                   Moonletd(programs, modules, directory, kMax, true)} {}

  // True if all is as it must be.
  bool run() {
    const double begin = now();
    for (int i = 0; i < 2; i++) before_[i] = quiet_sample(moonletds_[i]);
    bool on = true;
    for (int round = 0; on && started_ < launches_; round++) {
      on = run_round(moonletds_[round % 2], round);
      if (on) check_moonletd(round % 2);
    }
    if (!on) complain("stopped after %lu launches of %lu", started_, launches_);
    driver_.end_all();
    const double seconds = now() - begin;
    print_figures(seconds);
    end_moonletds();
    end_stragglers();
    if (driver_.wrong() != 0) complain("%lu launches ended wrong", driver_.wrong());
    return !failed_;
  }

 private:
  void complain(const char* format, ...) __attribute__((format(printf, 2, 3))) {
    failed_ = true;
    std::va_list arguments;
    va_start(arguments, format);
    std::fputs("FAILED: ", stdout);
    std::vprintf(format, arguments);
    std::putchar('\n');
    va_end(arguments);
  }

  Sample quiet_sample(const Moonletd& moonletd) {
    if (!moonletd.becomes_quiet()) complain("%s: children or connections are left", moonletd.name().c_str());
    return moonletd.sample();
  }

  // A mix, of which a few are always in flight, then a crowd.
  bool run_round(Moonletd& moonletd, int round) {
    // Each moonletd gets its crowd, and a mix, also where there are few launches.
    const uint64_t rest = launches_ - started_;
    uint64_t size = std::min(rest, kRound + kCrowd);
    if (round == 0) size = std::min(size, (launches_ + 1) / 2);
    const uint64_t crowd = std::min(kCrowd, size / 2);
    for (const uint64_t end = started_ + size - crowd; started_ < end || driver_.in_flight() > 0;) {
      if (started_ < end && driver_.in_flight() < kInFlight) {
        const Kind& kind = draw(mixed_kinds(), random_);
        const Way way = random_.below(2) == 0 ? Way::kForked : Way::kThawed;
        driver_.start(kind, way, started_++, moonletd, random_);
      } else if (!driver_.step()) {
        return false;
      }
    }
    const bool on = run_crowd(moonletd, crowd);
    if (round % 10 == 9) {
      std::printf("  %lu launches, %lu wrong\n", started_, driver_.wrong());
      std::fflush(stdout);
    }
    return on;
  }

  // All are open at once, and as many run as may; then they end in any order.
  bool run_crowd(Moonletd& moonletd, uint64_t size) {
    driver_.hold();
    for (uint64_t i = 0; i < size; i++)
      driver_.start(draw(crowd_kinds(), random_), Way::kForked, started_++, moonletd, random_);
    const int running = static_cast<int>(std::min(size, static_cast<uint64_t>(kMax)));
    while (driver_.writing() < running) {
      if (!driver_.step()) return false;
    }
    if (!moonletd.has_connections(static_cast<int>(size))) complain("not all of a crowd are open at once");
    const Sample sample = moonletd.sample();
    Sample& peak = peak_[moonletd.trusts() ? 1 : 0];
    if (sample.descriptors >= peak.descriptors) peak = sample;
    if (sample.children > kMax || driver_.writing() != running)
      complain("%d children, %d scripts, --max is %d", sample.children, driver_.writing(), kMax);
    driver_.release(random_);
    for (int step = 0; driver_.in_flight() > 0; step++) {
      if (!driver_.step()) return false;
      if (step % 20 == 0 && exceeds_max(moonletd)) complain("more scripts run than --max %d", kMax);
    }
    return true;
  }

  // A client may still be here when its script is gone and the next one runs, so that the moonletd's children
  // are counted. While they are listed one may go and another come: what is too many is so at each look.
  static bool exceeds_max(const Moonletd& moonletd) {
    for (int look = 0; look < 3; look++) {
      if (static_cast<int>(children_of(moonletd.server()).size()) <= kMax) return false;
    }
    return true;
  }

  void check_moonletd(int index) {
    const Sample sample = quiet_sample(moonletds_[index]);
    const Sample& before = before_[index];
    const std::string name = moonletds_[index].name();
    if (sample.descriptors != before.descriptors)
      complain("%s: %d descriptors, %d before", name.c_str(), sample.descriptors, before.descriptors);
    if (sample.zombies != 0) complain("%s: %d zombies", name.c_str(), sample.zombies);
    if (sample.anonymous > before.anonymous + kGrowthKb)
      complain("%s: %ld KB written, %ld KB before", name.c_str(), sample.anonymous, before.anonymous);
    if (sample.page_tables > before.page_tables + kGrowthKb)
      complain("%s: %ld KB of page tables, %ld KB before", name.c_str(), sample.page_tables,
               before.page_tables);
    after_[index] = sample;
  }

  void print_figures(double seconds) {
    std::printf("\n| forked | thawed | of them wrong | |\n|---|---|---|---|\n");
    uint64_t forked = 0, thawed = 0;
    for (const auto kinds : {mixed_kinds(), crowd_kinds()}) {
      for (const Kind& kind : kinds) {
        const Tally by_fork = driver_.tally(kind, Way::kForked);
        const Tally by_thaw = driver_.tally(kind, Way::kThawed);
        std::printf("| %lu | %lu | %lu | %s |\n", by_fork.launches, by_thaw.launches,
                    by_fork.wrong + by_thaw.wrong, kind.name);
        forked += by_fork.launches;
        thawed += by_thaw.launches;
      }
    }
    const uint64_t all = forked + thawed;
    std::printf("| %lu | %lu | %lu | all |\n\n", forked, thawed, driver_.wrong());
    if (all != launches_) complain("%lu launches were to end, %lu did", launches_, all);
    std::printf(
        "| server | | RSS | PSS | private dirty | written | page tables | descriptors | children | zombies |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < 2; i++) {
      print_sample(moonletds_[i], "before", before_[i]);
      print_sample(moonletds_[i], "in a crowd", peak_[i]);
      print_sample(moonletds_[i], "after", after_[i]);
    }
    std::printf("\nSizes are in KB. %.0f seconds, %.0f launches per second.\n", seconds,
                static_cast<double>(all) / seconds);
  }

  static void print_sample(const Moonletd& moonletd, const char* when, const Sample& it) {
    std::printf("| `%s` | %s | %ld | %ld | %ld | %ld | %ld | %d | %d | %d |\n", moonletd.name().c_str(), when,
                it.resident, it.proportional, it.private_dirty, it.anonymous, it.page_tables, it.descriptors,
                it.children, it.zombies);
  }

  void end_moonletds() {
    for (Moonletd& moonletd : moonletds_) {
      const int status = moonletd.stop();
      if (status != 0) complain("%s: wait status 0x%x", moonletd.name().c_str(), status);
      if (std::filesystem::exists(moonletd.socket()))
        complain("%s has left its socket", moonletd.name().c_str());
      const std::string log = moonletd.unexpected_log();
      if (!log.empty()) complain("%s has logged:\n%s", moonletd.name().c_str(), log.c_str());
    }
  }

  // What loses its parent becomes this process' child: the one that serves, and what should not be there.
  void end_stragglers() {
    const double until = now() + 10;
    pid_t pid = 0;
    while ((pid = waitpid(-1, nullptr, WNOHANG)) >= 0) {
      if (pid > 0) continue;
      if (now() > until) break;
      const timespec millisecond = {0, 1000000};
      nanosleep(&millisecond, nullptr);
    }
    if (pid < 0) return;
    for (const pid_t left : children_of(getpid())) {
      complain("process %d is left", left);
      kill(left, SIGKILL);
      waitpid(left, nullptr, 0);
    }
  }

  uint64_t launches_, started_ = 0;
  Random random_;
  Driver driver_;
  Moonletd moonletds_[2];
  Sample before_[2], peak_[2], after_[2];
  bool failed_ = false;
};

}  // namespace

void fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fputs("load: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  std::error_code ignored;
  if (!directory.empty()) std::filesystem::remove_all(directory, ignored);
  std::exit(1);
}

}  // namespace moonlet::load

int main(int argc, char** argv) {
  using namespace moonlet::load;
  // PROGRAMS MODULES LAUNCHES [SEED]
  const uint64_t launches = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 0;
  const uint64_t seed = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 1;
  if (launches == 0) fail("usage: load PROGRAMS MODULES LAUNCHES [SEED]");
  close_range(3, ~0U, 0);  // what this process was started with: the moonletds would count it
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const rlimit no_cores = {0, 0};
  setrlimit(RLIMIT_CORE, &no_cores);
  rlimit descriptors = {};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  if (descriptors.rlim_cur < 2 * kCrowd + 100) fail("%lu descriptors are too few", descriptors.rlim_cur);

  char name[] = "/tmp/moonlet-load-XXXXXX";
  if (mkdtemp(name) == nullptr) fail("mkdtemp: %s", strerror(errno));
  directory = name;
  std::printf("%lu launches, seed %lu, %d in flight, --max %d\n", launches, seed, kInFlight, kMax);
  std::fflush(stdout);
  bool right = false;
  {
    Load load(argv[1], argv[2], launches, seed);
    right = load.run();
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  std::puts(right ? "All right." : "NOT RIGHT.");
  return right ? 0 : 1;
}
