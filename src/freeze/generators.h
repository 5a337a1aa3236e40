// Random numbers that libraries make themselves: those which notice a fork draw anew in each launch. What is
// here does not.
#pragma once

namespace moonlet::freeze {

/// Before the pages are read, with all libraries loaded: finds the generators, and empties those that seed
/// themselves anew. `with_entropy`: whether the warm-up has asked for the time or for random numbers, and so
/// may have seeded libc's with them.
/// Returns whether the warm-up has seeded libc's, rand or random.
bool prepare_generators(bool with_entropy);

/// libc's generators `which` (a sum of these) are being seeded, by srand(3), srandom(3) or srand48(3).
void note_seed(unsigned which);
constexpr unsigned kRand = 1, kRandom = 2, kRand48 = 4;

/// Before a warm-up goes on: what moonlet has seeded since prepare_generators(), the warm-up has not.
void forget_own_seeds();

/// In a thaw, after libc is mended: seeds what needs it with fresh random numbers.
void seed_generators();

}  // namespace moonlet::freeze
