// Questions about files, as the tracer and the functions in front of libc's record them: the answer is taken
// before the call that asks goes on, so that a change in between is seen as one.
#pragma once

#include "freeze/log.h"
#include "image/answer.h"

#include <sys/types.h>

namespace moonlet::freeze::questions {

enum class FileCall : uint8_t {
  kOpen,    // and read
  kStat,    // or any other call that tells of a file what its inode holds
  kLstat,   // likewise, of a link itself
  kExists,  // access(F_OK)
  kAccess,  // access(2) with the permissions of whoever asks
  kReadLink,
  kExecute,
};

/// Records that `path` is asked after, by process `pid`; 0: by this one. `path` is absolute, or relative to the
/// directory that the warm-up began in, which has to be this process' own.
void ask_file(Log* log, FileCall call, const char* path, pid_t pid = 0);

/// open(2) with `flags` of this path.
void ask_open(Log* log, const char* path, int flags, pid_t pid = 0);

/// `path` is made by the warm-up, if nothing is there yet: what it asks of it from now on is no question to the
/// world.
void will_make(Log* log, const char* path);

/// Whether the warm-up has made it, or will have.
bool is_own_file(const Log* log, const char* path);

/// What changes in a directory can be seen by its times: names that are missing need not be asked for one by
/// one.
bool tells_changes(int directory, const char* path);

/// How long after the change `status` tells of a second one might bear the same time, in nanoseconds from now;
/// 0: not any more.
int64_t time_to_age(const image::FileStatus& status);

}  // namespace moonlet::freeze::questions
