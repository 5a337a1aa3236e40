// Two programs that do the same, launched by turns.
#pragma once

#include "measure/launch.h"

namespace moonlet::bench {

struct Side {
  const char* name;
  Command command;
  Sample* samples = nullptr;  // in the order of the launches
  double* sorted = nullptr;   // the wall-clock times in ms, ascending
};

/// Owns the lists. Move it nowhere.
struct Duel {
  Duel() = default;
  Duel(const Duel&) = delete;
  Duel& operator=(const Duel&) = delete;
  ~Duel();

  Side lua = {"lua", {}};
  Side moonlet = {"moonlet", {}};
  double* gain = nullptr;  // in ms, ascending: of each launch under moonlet over that under lua beside it
  int count = 0;           // launches of each
};

struct Patience {
  int warm_up = 0;  // launches of each that are not counted
  int runs = 0;     // launches of each; 0: as many as there is time for
};

/// Launches both commands of `duel`, and fills in the rest. Shows its progress. Ends this program if a launch
/// ends with another wait status than `status`.
void run(Duel& duel, const Patience& patience, int status);

/// Fewer launches than that tell nothing.
constexpr int kFewestRounds = 3;

}  // namespace moonlet::bench
