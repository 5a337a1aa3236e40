#include "ctl/warm_up.h"

#include "base/descriptors.h"
#include "base/kernel.h"
#include "base/unique_fd.h"
#include "ctl/attempt.h"
#include "ctl/cache.h"
#include "ctl/freezer.h"
#include "ctl/judge_image.h"
#include "ctl/terminals.h"
#include "image/cache_path.h"
#include "protocol/socket_path.h"
#include "protocol/warm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

constexpr uint64_t kMostBytes = 64 << 20;                 // of all images together
constexpr time_t kForgotten = time_t{30} * 24 * 60 * 60;  // seconds after which nobody asks for a log any more

// Where nobody can be told why: the script runs through lua, and so will the next.
[[noreturn]] void give_up() { _exit(EXIT_FAILURE); }

// All descriptors but the lock are the caller's, and somebody may wait for their end.
void close_the_callers() {
  constexpr int kKept[] = {protocol::kLockDescriptor};
  close_all_but(0, kKept, 1);
}

// Nobody's time, and nobody's terminal. What a warm-up asks for stays as it is for the launch: environment,
// directory, limits, umask.
void leave_the_caller() {
  constexpr int kOfProcess = 1;       // IOPRIO_WHO_PROCESS
  constexpr int kWhenIdle = 3 << 13;  // IOPRIO_CLASS_IDLE
  setsid();
  setpriority(PRIO_PROCESS, 0, 19);
  syscall(SYS_ioprio_set, kOfProcess, 0, kWhenIdle);
  for (int signal = 1; signal <= kernel::kLastSignal; signal++) kernel::set_default(signal);
  const kernel::SignalSet none;
  kernel::change_mask(SIG_SETMASK, &none, nullptr);
}

// Finds the slot that a new image shall take: one that is outdated, or free, or that has been used longest ago.
// -1 if one of the images fits, because it has been made meanwhile.
int find_slot(image::CachePath& path, const Cache& cache, const char* name) {
  int outdated = -1;
  int missing = -1;
  for (int slot = image::kSlots - 1; slot >= 0; slot--) {
    path.set_image(slot);
    char words[512];
    const Judgement judgement = judge_image(path.text(), words, sizeof words);
    if (judgement == Judgement::kFits) return -1;
    if (judgement == Judgement::kOutdated) outdated = slot;
    if (judgement == Judgement::kMissing) missing = slot;
  }
  if (outdated >= 0) return outdated;
  if (missing >= 0) return missing;
  const CachedImage* oldest = nullptr;
  for (const CachedImage& it : cache) {
    if (strcmp(it.name, name) == 0 && (oldest == nullptr || it.goes_before(*oldest))) oldest = &it;
  }
  return oldest != nullptr ? oldest->slot : 0;
}

// Whether the image that was made last has been of use.
bool was_worth_it(const Cache& cache, const char* name) {
  const CachedImage* last = nullptr;
  for (const CachedImage& it : cache) {
    if (strcmp(it.name, name) == 0 && (last == nullptr || is_later(it.made, last->made))) last = &it;
  }
  return last != nullptr && last->was_used();
}

// Whether so much time has passed that what was learnt of this warm-up counts no more.
bool is_long_ago(const Attempt& attempt) {
  constexpr time_t kAnHour = 3600;
  const time_t since = time(nullptr) - attempt.ended.tv_sec;
  return since > kAnHour && since > 10 * delay_of(attempt);
}

// A new image has not been used, whoever has looked at it.
void forget_use(const char* path) {
  struct stat status = {};
  if (stat(path, &status) != 0) return;
  const timespec times[2] = {status.st_mtim, {0, UTIME_OMIT}};
  utimensat(AT_FDCWD, path, times, 0);
}

// Removes what has been used longest ago, until all is small enough, but `kept` last. False if that had to go
// too.
bool make_room(Cache& cache, const char* name, int slot) {
  for (;;) {
    cache.list();
    if (cache.bytes() <= kMostBytes) return true;
    const CachedImage* oldest = nullptr;
    const CachedImage* kept = nullptr;
    for (const CachedImage& it : cache) {
      if (strcmp(it.name, name) == 0 && it.slot == slot) {
        kept = &it;
      } else if (oldest == nullptr || it.goes_before(*oldest)) {
        oldest = &it;
      }
    }
    const CachedImage* const goes = oldest != nullptr ? oldest : kept;
    if (goes == nullptr) return false;
    cache.remove(*goes);
    if (goes == kept) return false;
  }
}

// Logs of warm-ups that nobody has wanted frozen for long, and that have no image.
void remove_old_logs(const Cache& cache) {
  cache.for_each_log(
      [](const char* name, void* context) {
        const auto& its = *static_cast<const Cache*>(context);
        for (const CachedImage& it : its) {
          if (strcmp(it.name, name) == 0) return;
        }
        char entry[image::CachePath::kNameLength + sizeof image::CachePath::kLogEnding];
        snprintf(entry, sizeof entry, "%s%s", name, image::CachePath::kLogEnding);
        struct stat status = {};
        if (fstatat(its.directory(), entry, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            time(nullptr) - status.st_ctime > kForgotten)
          its.remove_log(name);
      },
      const_cast<Cache*>(&cache));
}

void make_image(image::CachePath& path, Cache& cache, Terminals& terminals, Attempt& attempt,
                const char* warm_up) {
  char name[image::CachePath::kNameLength + 1] = "";
  memcpy(name, path.name(), image::CachePath::kNameLength);
  cache.list();
  if (was_worth_it(cache, name) || is_long_ago(attempt)) attempt.tries = 0;
  attempt.tries++;
  const int slot = find_slot(path, cache, name);
  attempt.output = Text();
  attempt.has_failed = false;
  if (slot < 0) return;
  path.set_image(slot);
  attempt.has_failed = !freeze(warm_up, path.text(), terminals, attempt.output);
  if (attempt.has_failed) return;
  forget_use(path.text());
  attempt.has_failed = !make_room(cache, name, slot);
  if (attempt.has_failed)
    attempt.output.add("moonletctl: the image is larger than all images together may be\n");
}

}  // namespace

void freeze_in_background(char* log) {
  Terminals terminals;
  terminals.remember();
  close_the_callers();
  leave_the_caller();
  // The lock that moonlet has taken is this process', and so is its end.
  if (flock(protocol::kLockDescriptor, LOCK_EX | LOCK_NB) != 0) give_up();
  fcntl(protocol::kLockDescriptor, F_SETFD, FD_CLOEXEC);
  if (!terminals.make_again()) give_up();  // before anything else takes these numbers
  const char* const warm_up = protocol::setting("MOONLET_WARM");
  image::CachePath path;
  Cache cache;
  if (warm_up == nullptr || !path.set_directory() || !cache.open(path.text())) give_up();
  path.set_name(warm_up);
  path.set_log();
  if (strcmp(path.text(), log) != 0) give_up();
  const UniqueFd its_log = cache.open_log(path.name());
  if (!its_log.valid()) give_up();
  cache.remove_leftovers();
  Attempt attempt;
  read_attempt(its_log.get(), attempt);
  attempt.warm_up = Text();
  attempt.warm_up.add(warm_up);
  make_image(path, cache, terminals, attempt, warm_up);
  write_attempt(its_log.get(), attempt);
  remove_old_logs(cache);
  _exit(EXIT_SUCCESS);
}

}  // namespace moonlet::ctl
