// Which descriptors a warm-up leaves open. A launch has its caller's, and none of those.
#pragma once

namespace moonlet::freeze {

/// Before the warm-up: what is open now is whoever's started the freeze.
void remember_descriptors();

/// What has been opened since the last call belongs to the module `name`.
void note_descriptors(const char* name);

/// How many have been opened since remember_descriptors() and are open still, or are other ones than they were.
int count_new_descriptors();

/// Says on standard error which descriptors have been opened since remember_descriptors() and are open still,
/// or are other ones than they were. Returns their number.
int complain_of_descriptors();

}  // namespace moonlet::freeze
