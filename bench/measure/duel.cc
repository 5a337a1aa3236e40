#include "measure/duel.h"

#include "measure/fail.h"
#include "measure/progress.h"
#include "measure/statistics.h"

#include <stdlib.h>

namespace moonlet::bench {

namespace {

// Together with the runs before and after, and with slow scripts left aside, about ten seconds.
constexpr double kPatienceUs = 8e6;
constexpr int kMostRounds = 1000;

template <class Item>
Item* list_of(int count) {
  void* const list = calloc(static_cast<size_t>(count), sizeof(Item));
  if (list == nullptr) fail("out of memory");
  return static_cast<Item*>(list);
}

void launch_both(Duel& duel, int round, int status, Sample& lua, Sample& moonlet) {
  const Streams nowhere = {null_device(), null_device(), null_device()};
  // Now one first, now the other: neither always runs in the other's wake.
  for (int turn = 0; turn < 2; turn++) {
    const bool is_lua = (round + turn) % 2 == 0;
    const Side& side = is_lua ? duel.lua : duel.moonlet;
    (is_lua ? lua : moonlet) = launch(side.command, nowhere);
    if ((is_lua ? lua : moonlet).status != status)
      fail("the script ended in another way than before, under %s", side.name);
  }
}

void show(const Duel& duel, double lua_us, double moonlet_us, double share, double elapsed_us) {
  const double left = share > 0 ? elapsed_us * (1 - share) / share / 1e6 : 0;
  show_progress("measuring: %.0f %%, %.0f s left (%d launches, mean: lua %.2f ms, moonlet %.2f ms)",
                share * 100, left, duel.count, lua_us / 1e3 / duel.count, moonlet_us / 1e3 / duel.count);
}

void sort_times(Side& side, int count) {
  side.sorted = list_of<double>(count);
  for (int i = 0; i < count; i++) side.sorted[i] = side.samples[i].wall_us / 1e3;
  sort(side.sorted, count);
}

}  // namespace

Duel::~Duel() {
  free(lua.samples);
  free(lua.sorted);
  free(moonlet.samples);
  free(moonlet.sorted);
  free(gain);
}

void run(Duel& duel, const Patience& patience, int status) {
  Sample unused;
  for (int i = 0; i < patience.warm_up; i++) {
    if (progress_is_due()) show_progress("warming up: launch %d of %d", i + 1, patience.warm_up);
    launch_both(duel, i, status, unused, unused);
  }
  const int most = patience.runs > 0 ? patience.runs : kMostRounds;
  duel.lua.samples = list_of<Sample>(most);
  duel.moonlet.samples = list_of<Sample>(most);
  show_progress("measuring: launching it under lua and under moonlet by turns ...");
  const double before = now_us();
  double lua_us = 0;
  double moonlet_us = 0;
  while (duel.count < most) {
    const double elapsed = now_us() - before;
    if (patience.runs == 0 && duel.count >= kFewestRounds && elapsed > kPatienceUs) break;
    if (duel.count > 0 && progress_is_due()) {
      const double by_count = static_cast<double>(duel.count) / most;
      const double by_time = patience.runs == 0 && duel.count >= kFewestRounds ? elapsed / kPatienceUs : 0;
      show(duel, lua_us, moonlet_us, by_count > by_time ? by_count : by_time, elapsed);
    }
    Sample& lua = duel.lua.samples[duel.count];
    Sample& moonlet = duel.moonlet.samples[duel.count];
    launch_both(duel, duel.count, status, lua, moonlet);
    lua_us += lua.wall_us;
    moonlet_us += moonlet.wall_us;
    duel.count++;
  }
  end_progress();
  sort_times(duel.lua, duel.count);
  sort_times(duel.moonlet, duel.count);
  duel.gain = list_of<double>(duel.count);
  for (int i = 0; i < duel.count; i++)
    duel.gain[i] = (duel.lua.samples[i].wall_us - duel.moonlet.samples[i].wall_us) / 1e3;
  sort(duel.gain, duel.count);
}

}  // namespace moonlet::bench
