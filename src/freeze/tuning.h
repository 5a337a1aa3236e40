// Whether the warm-up has tuned its own process: how much of the machine it gets. Others do that too
// (renice(8), taskset(1), prlimit(1), daemons that raise what a user looks at), and that is no part of a
// warm-up.
#pragma once

namespace moonlet::freeze {

/// Whether it has called one of the functions in front of which tuning.cc stands. System calls of its own are
/// not seen.
bool has_tuned_itself();

}  // namespace moonlet::freeze
