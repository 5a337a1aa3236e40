// moonlet-bench: what a script gains from moonlet, on this machine; and the measuring for bench/run.

#include "measure/compare.h"
#include "measure/contenders.h"
#include "measure/contest.h"
#include "measure/fail.h"
#include "measure/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  using namespace moonlet::bench;
  const Options options = read_options(argc, argv);
  if (options.contenders == nullptr) {
    compare(options);
  } else if (options.concurrency > 0) {
    run_slices(read_contenders(options.contenders), options.concurrency, options.seconds, options.csv);
  } else {
    run_rounds(read_contenders(options.contenders), options.before, options.runs, options.csv);
  }
  if (fflush(stdout) != 0) fail("write the result: %s", strerror(errno));
  return EXIT_SUCCESS;
}
