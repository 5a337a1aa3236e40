// Questions about files, as the tracer and the functions in front of libc's record them: the answer is taken
// before the call that asks goes on, so that a change in between is seen as one.
#pragma once

#include "freeze/asks.h"
#include "freeze/log.h"
#include "image/answer.h"

#include <sys/types.h>

namespace moonlet::freeze::questions {

/// Before a warm-up: what an image below has known of file systems may be another boot's.
void forget_file_systems();

/// Records what a call up to kLastOfPaths asks of `path`, for process `pid`; 0: for this one. `path` is
/// absolute, or relative to the directory that the warm-up began in, which has to be this process' own.
/// `flags`: those of the call, if it has any.
void ask_path(Log* log, Asks asks, const char* path, unsigned long flags = 0, pid_t pid = 0);

/// Whether the warm-up has made it, or will have.
bool is_own_file(const Log* log, const char* path);

/// What changes in a directory can be seen by its times: names that are missing need not be asked for one by
/// one.
bool tells_changes(int directory, const char* path);

/// How long after the change `status` tells of a second one might bear the same time, in nanoseconds from now;
/// 0: not any more.
int64_t time_to_age(const image::FileStatus& status);

}  // namespace moonlet::freeze::questions
