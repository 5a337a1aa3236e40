#include "measure/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

namespace moonlet::bench {

namespace {

constexpr int kUsageError = 2;

constexpr char kHelp[] =
    "usage: moonlet-bench [--runs N] [--lua PROGRAM] [--moonlet PROGRAM] [--image PATH] SCRIPT [ARG...]\n"
    "       moonlet-bench --contenders FILE --csv OUT [--runs N [--before NAME] | --concurrency N --seconds "
    "S]\n"
    "Measures how long SCRIPT takes under lua and under moonlet, launched by turns, and says what it\n"
    "gains. SCRIPT is a file, or the name of a command; it runs without input, many times.\n"
    "  --runs N           launches of each; else as many as there is time for in ten seconds\n"
    "  --lua PROGRAM      the lua to compare with (" MOONLET_FALLBACK_NAME
    ")\n"
    "  --moonlet PROGRAM  the moonlet to compare (the one beside this program)\n"
    "  --image PATH       the image that moonlet thaws (else $MOONLET_IMAGE, or beside the socket)\n"
    "  --contenders FILE  measure what FILE lists instead, for other programs to evaluate\n"
    "  --csv OUT          where to write each launch\n"
    "  --before NAME      launch this contender before each of the others, and do not measure it\n"
    "  --concurrency N    keep N launches in flight, and count them\n"
    "  --seconds S        how long, for each contender\n"
    "  --help             show this text\n"
    "  --version          show the version\n"
    "See moonlet-bench(1).\n";

[[noreturn]] void print_and_exit(const char* text) {
  const bool printed = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
  exit(printed ? EXIT_SUCCESS : EXIT_FAILURE);
}

[[noreturn]] void reject(const char* what, const char* value) {
  fprintf(stderr, "moonlet-bench: %s%s (see moonlet-bench --help)\n", what, value);
  exit(kUsageError);
}

int whole_number(const char* text) {
  char* end = nullptr;
  errno = 0;
  const long value = strtol(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || value < 1 || value > INT_MAX)
    reject("not a number from 1 up: ", text);
  return static_cast<int>(value);
}

double seconds(const char* text) {
  char* end = nullptr;
  const double value = strtod(text, &end);
  if (end == text || *end != '\0' || !(value > 0)) reject("not a number of seconds: ", text);
  return value;
}

enum Option {
  kLua = 1,
  kMoonlet,
  kImage,
  kRuns,
  kContenders,
  kCsv,
  kBefore,
  kConcurrency,
  kSeconds,
  kShowHelp,
  kVersion
};

constexpr option kOptions[] = {{"lua", required_argument, nullptr, kLua},
                               {"moonlet", required_argument, nullptr, kMoonlet},
                               {"image", required_argument, nullptr, kImage},
                               {"runs", required_argument, nullptr, kRuns},
                               {"contenders", required_argument, nullptr, kContenders},
                               {"csv", required_argument, nullptr, kCsv},
                               {"before", required_argument, nullptr, kBefore},
                               {"concurrency", required_argument, nullptr, kConcurrency},
                               {"seconds", required_argument, nullptr, kSeconds},
                               {"help", no_argument, nullptr, kShowHelp},
                               {"version", no_argument, nullptr, kVersion},
                               {}};

void check(const Options& options) {
  if (options.contenders == nullptr) {
    if (options.csv != nullptr || options.before != nullptr || options.concurrency != 0 || options.seconds != 0)
      reject("--csv, --before, --concurrency and --seconds go with --contenders", "");
    if (options.script == nullptr) reject("which script?", "");
    return;
  }
  if (options.script != nullptr) reject("--contenders, and a script too: ", *options.script);
  if (options.image != nullptr) reject("--contenders, and an image too: ", options.image);
  if (options.csv == nullptr) reject("--contenders needs --csv", "");
  const bool slices = options.concurrency != 0 && options.seconds != 0 && options.runs == 0;
  const bool rounds = options.concurrency == 0 && options.seconds == 0 && options.runs != 0;
  if (!slices && !rounds) reject("--contenders needs --runs, or --concurrency and --seconds", "");
  if (slices && options.before != nullptr) reject("--before goes with --runs", "");
}

}  // namespace

Options read_options(int argc, char** argv) {
  Options options;
  int chosen = 0;
  // "+": the first that is no option is the script; what follows is its own.
  while ((chosen = getopt_long(argc, argv, "+", kOptions, nullptr)) != -1) {
    switch (chosen) {
      case kLua:
        options.lua = optarg;
        break;
      case kMoonlet:
        options.moonlet = optarg;
        break;
      case kImage:
        options.image = optarg;
        break;
      case kRuns:
        options.runs = whole_number(optarg);
        break;
      case kContenders:
        options.contenders = optarg;
        break;
      case kCsv:
        options.csv = optarg;
        break;
      case kBefore:
        options.before = optarg;
        break;
      case kConcurrency:
        options.concurrency = whole_number(optarg);
        break;
      case kSeconds:
        options.seconds = seconds(optarg);
        break;
      case kShowHelp:
        print_and_exit(kHelp);
      case kVersion:
        print_and_exit("moonlet-bench " MOONLET_VERSION "\n");
      default:
        exit(kUsageError);  // getopt has said what is wrong
    }
  }
  if (optind < argc) options.script = argv + optind;
  check(options);
  return options;
}

}  // namespace moonlet::bench
