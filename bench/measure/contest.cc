#include "measure/contest.h"

#include "measure/fail.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

namespace moonlet::bench {

namespace {

constexpr double kSliceUs = 100e3;

FILE* create(const char* path, const char* columns) {
  FILE* const file = fopen(path, "we");
  if (file == nullptr) fail("create %s: %s", path, strerror(errno));
  fputs(columns, file);
  return file;
}

void finish(FILE* file, const char* path) {
  const bool whole = ferror(file) == 0;
  if (fclose(file) != 0 || !whole) fail("write %s: %s", path, strerror(errno));
}

const Contender* find(const Contenders& contenders, const char* name) {
  for (int i = 0; i < contenders.count; i++) {
    if (strcmp(contenders.at[i].name, name) == 0) return &contenders.at[i];
  }
  fail("there is no contender '%s'", name);
}

// xorshift32 (Marsaglia 2003): the same orders in each run, and none that a contender could profit from.
uint32_t draw(uint32_t below) {
  static uint32_t state = 2463534242;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % below;
}

void shuffle(int* order, int count) {
  for (int i = 0; i < count; i++) order[i] = i;
  for (int i = count - 1; i > 0; i--) {
    const int other = static_cast<int>(draw(static_cast<uint32_t>(i) + 1));
    const int moved = order[i];
    order[i] = order[other];
    order[other] = moved;
  }
}

struct Slice {
  int launches = 0;
  int failures = 0;  // of them: another exit status than 0
  double seconds = 0;
};

Slice run_slice(const Command& command, int concurrency, double for_us) {
  const Streams streams = {null_device(), null_device(), 2};
  Slice slice;
  const double before = now_us();
  int running = 0;
  for (; running < concurrency; running++) start(command, streams);
  while (running > 0) {
    int status = 0;
    if (waitpid(-1, &status, 0) < 0) continue;  // EINTR
    slice.launches++;
    if (status != 0) slice.failures++;
    if (now_us() - before < for_us) {
      start(command, streams);
    } else {
      running--;
    }
  }
  slice.seconds = (now_us() - before) / 1e6;
  return slice;
}

}  // namespace

void run_rounds(const Contenders& contenders, const char* before, int rounds, const char* csv) {
  const Contender* const in_front = before != nullptr ? find(contenders, before) : nullptr;
  FILE* const file = create(csv, "round,contender,wall_us,processor_us,minor_faults,status\n");
  const Streams streams = {null_device(), null_device(), 2};
  int order[Contenders::kMost] = {};
  for (int round = 0; round < rounds; round++) {
    shuffle(order, contenders.count);
    for (int i = 0; i < contenders.count; i++) {
      const Contender& contender = contenders.at[order[i]];
      if (&contender == in_front) continue;
      if (in_front != nullptr) launch(in_front->command, streams);
      const Sample sample = launch(contender.command, streams);
      fprintf(file, "%d,%s,%.1f,%.0f,%ld,%d\n", round, contender.name, sample.wall_us,
              sample.user_us + sample.system_us, sample.minor_faults, sample.status);
    }
  }
  finish(file, csv);
}

void run_slices(const Contenders& contenders, int concurrency, double seconds, const char* csv) {
  FILE* const file = create(csv, "contender,concurrency,launches,failures,seconds\n");
  const int whole = static_cast<int>(seconds * 1e6 / kSliceUs);
  const int slices = whole > 0 ? whole : 1;  // the rest of the time makes each a little longer
  for (int turn = 0; turn < slices; turn++) {
    for (int i = 0; i < contenders.count; i++) {
      const Slice slice = run_slice(contenders.at[i].command, concurrency, seconds * 1e6 / slices);
      fprintf(file, "%s,%d,%d,%d,%.6f\n", contenders.at[i].name, concurrency, slice.launches, slice.failures,
              slice.seconds);
    }
  }
  finish(file, csv);
}

}  // namespace moonlet::bench
