// Which descriptors a warm-up leaves open. A launch has its caller's, and none of those.
#pragma once

namespace moonlet::freeze {

/// Before the warm-up: what is open now is whoever's started the freeze.
void remember_descriptors();

/// What has been opened since the last call belongs to the module `name`, which has to stay; null: to the
/// script. Asks nothing that a warm-up could have asked.
void note_descriptors(const char* name);

/// Says on standard error which descriptors have been opened since remember_descriptors() and are open still,
/// or are other ones than they were. Tells observe_leaver (freeze/leftovers.h) whose they are. Returns their
/// number.
int complain_of_descriptors();

}  // namespace moonlet::freeze
