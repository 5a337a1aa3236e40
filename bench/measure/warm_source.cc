#include "measure/warm_source.h"

#include "measure/progress.h"
#include "protocol/warm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(MOONLET_WARM)
#include "base/unique_fd.h"
#include "image/cache_path.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#endif

namespace moonlet::bench {

namespace {

bool is_set(const char* variable) {
  const char* const value = getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

WarmSource warm_source() {
  if (getenv("MOONLET_IMAGE") != nullptr) return WarmSource::kImage;
#if defined(MOONLET_WARM)
  if (is_set("MOONLET_WARM")) return WarmSource::kWarmUp;
#endif
  return is_set("MOONLET_SOCKET") ? WarmSource::kMoonletd : WarmSource::kNone;
}

bool wait_for_warm_up() {
#if defined(MOONLET_WARM)
  static image::CachePath path;
  if (!path.set_directory()) return false;
  memcpy(path.text() + path.directory_length(), protocol::kLockName, sizeof protocol::kLockName);
  const UniqueFd lock(open(path.text(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (lock.get() < 0 || flock(lock.get(), LOCK_SH | LOCK_NB) == 0) return false;
  end_progress();
  fputs("moonlet-bench: waiting for the image of MOONLET_WARM, which is being made ...\n", stderr);
  while (flock(lock.get(), LOCK_SH) != 0 && errno == EINTR) continue;
  return true;
#else
  return false;
#endif
}

}  // namespace moonlet::bench
