// What this program is doing now: a line on standard error, where that is a terminal, which is drawn over and
// in the end removed.
#pragma once

namespace moonlet::bench {

/// Shows the formatted line (printf(3)) instead of the former one, cut where the terminal ends.
[[gnu::format(printf, 1, 2)]] void show_progress(const char* format, ...);

/// Whether show_progress() is due again: it takes time itself, and so is called ten times a second at most.
bool progress_is_due();

/// Removes the line. Whatever is written to a terminal comes behind this.
void end_progress();

}  // namespace moonlet::bench
