#include "measure/result.h"

#include "ctl/escape.h"
#include "ctl/terminal.h"
#include "ctl/text.h"
#include "measure/fail.h"
#include "measure/histogram.h"
#include "measure/statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::bench {

namespace {

// A ratio this close to 1 is nobody's reason to change anything.
constexpr double kNoticeable = 0.05;

void print_verdict(const Duel& duel) {
  if (duel.count < kFewestRounds) {
    printf("%d launch%s of each %s too few to tell.\n", duel.count, duel.count == 1 ? "" : "es",
           duel.count == 1 ? "is" : "are");
    return;
  }
  const double lua = quantile(duel.lua.sorted, duel.count, 0.5);
  const double moonlet = quantile(duel.moonlet.sorted, duel.count, 0.5);
  const double ratio = moonlet / lua;
  const Interval gain = median_interval(duel.gain, duel.count);
  const ctl::Colours colours = ctl::colours();
  if (ratio < 1 - kNoticeable && gain.low > 0) {
    printf("%smoonlet is %.1f times as fast%s: it saves %.2f ms of %.2f ms per launch.\n", colours.good,
           lua / moonlet, colours.off, lua - moonlet, lua);
  } else if (ratio > 1 + kNoticeable && gain.high < 0) {
    printf("%smoonlet loses here%s: %.2f ms more than lua's %.2f ms per launch (ratio %.2f).\n", colours.bad,
           colours.off, moonlet - lua, lua, ratio);
  } else {
    printf("%smoonlet gains nothing here%s: %.2f ms instead of %.2f ms per launch (ratio %.2f)%s.\n",
           colours.attention, colours.off, moonlet, lua, ratio,
           gain.low <= 0 && gain.high >= 0 ? ", a difference within what both vary" : "");
  }
}

void print_line(const Side& side, int count) {
  const double* const sorted = side.sorted;
  const Moments of = moments(sorted, count);
  printf("%-8s %9.2f %9.2f %9.2f %9.2f %9.2f %9.2f %9.2f\n", side.name, quantile(sorted, count, 0.5), of.mean,
         of.deviation, sorted[0], quantile(sorted, count, 0.1), quantile(sorted, count, 0.9),
         sorted[count - 1]);
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

void add_list(ctl::Text& out, const char* name, const Side& side, int count, bool of_codes) {
  out.format(",\n      \"%s\": [", name);
  for (int i = 0; i < count; i++) {
    const Sample& sample = side.samples[i];
    if (i > 0) out.add(", ");
    if (of_codes) {
      out.format("%d", exit_code(sample.status));
    } else {
      out.format("%.9f", sample.wall_us / 1e6);
    }
  }
  out.add("]");
}

void add_side(ctl::Text& out, const Side& side, int count) {
  ctl::Text command;
  command.add(side.command.program);
  for (char** word = side.command.argv + 1; *word != nullptr; word++) {
    command.add(" ");
    command.add(*word);
  }
  double user_us = 0;
  double system_us = 0;
  for (int i = 0; i < count; i++) {
    user_us += side.samples[i].user_us;
    system_us += side.samples[i].system_us;
  }
  const Moments of = moments(side.sorted, count);
  out.add("    {\n      \"command\": ");
  ctl::add_json_string(out, command.bytes(), command.size());
  const struct {
    const char* name;
    double seconds;
  } figures[] = {{"mean", of.mean / 1e3},
                 {"stddev", of.deviation / 1e3},
                 {"median", quantile(side.sorted, count, 0.5) / 1e3},
                 {"user", user_us / 1e6 / count},
                 {"system", system_us / 1e6 / count},
                 {"min", side.sorted[0] / 1e3},
                 {"max", side.sorted[count - 1] / 1e3}};
  for (const auto& it : figures) out.format(",\n      \"%s\": %.9f", it.name, it.seconds);
  add_list(out, "times", side, count, false);
  add_list(out, "exit_codes", side, count, true);
  out.add("\n    }");
}

}  // namespace

void print_result(const Duel& duel, const char* what) {
  print_verdict(duel);
  printf("\n%s: %d launch%s of each, by turns\n\n", what, duel.count, duel.count == 1 ? "" : "es");
  printf("%-8s %9s %9s %9s %9s %9s %9s %9s\n", "in ms", "median", "mean", "spread", "min", "p10", "p90", "max");
  print_line(duel.lua, duel.count);
  print_line(duel.moonlet, duel.count);
  putchar('\n');
  if (!ctl::is_on_terminal()) return;
  const Series series[] = {{duel.lua.name, duel.lua.sorted}, {duel.moonlet.name, duel.moonlet.sorted}};
  print_histogram(series, duel.count, ctl::size_of_terminal().columns, ctl::terminal_takes_utf8());
  putchar('\n');
}

void export_json(const Duel& duel, const char* path) {
  ctl::Text out;
  out.add("{\n  \"results\": [\n");
  add_side(out, duel.lua, duel.count);
  out.add(",\n");
  add_side(out, duel.moonlet, duel.count);
  out.add("\n  ]\n}\n");
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail("create %s: %s", path, strerror(errno));
  if (!out.write_to(file) || close(file) != 0) fail("write %s: %s", path, strerror(errno));
}

}  // namespace moonlet::bench
