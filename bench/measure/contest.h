// Contenders against each other, each sample written to a file: for a program that makes a report of it.
#pragma once

#include "measure/contenders.h"

namespace moonlet::bench {

/// Launches each contender once in each of `rounds` rounds, one launch at a time, in an order that is drawn
/// anew for each round: what disturbs the machine for a while disturbs all alike. Writes a line for each launch
/// to `csv`. `before`, if not null, names a contender that is launched before each of the others, so that all
/// find the processor's caches as it leaves them; it is not measured. Ends this program if there is none of
/// that name.
void run_rounds(const Contenders& contenders, const char* before, int rounds, const char* csv);

/// Keeps `concurrency` launches of one contender in flight, then of the next, by turns in short slices, until
/// each had `seconds` in all. Writes a line for each slice to `csv`.
void run_slices(const Contenders& contenders, int concurrency, double seconds, const char* csv);

}  // namespace moonlet::bench
