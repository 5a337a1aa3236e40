#include "measure/options.h"

#include "measure/fail.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

namespace moonlet::bench {

namespace {

constexpr int kUsageError = 2;

constexpr char kHelp[] =
    "usage: moonlet-bench [OPTION...] [-e STAT] [-l NAME] [-E] [-W] [SCRIPT [ARG...]]\n"
    "       moonlet-bench --contenders FILE --csv OUT [--runs N [--before NAME] | --concurrency N --seconds "
    "S]\n"
    "Measures how long SCRIPT takes under lua and under moonlet, launched by turns, and says what it\n"
    "gains. SCRIPT is a file, or the name of a command; it runs without input, many times.\n"
    "  --runs N           launches of each; else as many as there is time for in ten seconds\n"
    "  --warmup N         launches of each before them, which do not count\n"
    "  --export-json OUT  write the figures and each launch, in hyperfine's form\n"
    "  --lua PROGRAM      the lua to compare with (" MOONLET_FALLBACK_NAME
    ")\n"
    "  --moonlet PROGRAM  the moonlet to compare (the one beside this program)\n"
    "  --image PATH       the image that moonlet thaws (else $MOONLET_IMAGE, that of $MOONLET_WARM, or\n"
    "                     the one beside moonletd's socket)\n"
    "  --contenders FILE  measure what FILE lists instead, for other programs to evaluate\n"
    "  --csv OUT          where to write each launch\n"
    "  --before NAME      launch this contender before each of the others, and do not measure it\n"
    "  --concurrency N    keep N launches in flight, and count them\n"
    "  --seconds S        how long, for each contender\n"
    "  --help             show this text\n"
    "  --version          show the version\n"
    "lua's options: -e stat, -l mod, -E, -W (see lua(1)); with -e there need be no script.\n"
    "See moonlet-bench(1).\n";

[[noreturn]] void print_and_exit(const char* text) {
  const bool printed = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
  exit(printed ? EXIT_SUCCESS : EXIT_FAILURE);
}

[[noreturn]] void reject(const char* what, const char* value) {
  fprintf(stderr, "moonlet-bench: %s%s (see moonlet-bench --help)\n", what, value);
  exit(kUsageError);
}

// What getopt_long(3) does not take. Of several letters in one word it says which.
[[noreturn]] void reject_option(const char* word) {
  const char letter[] = {'-', static_cast<char>(optopt), '\0'};
  reject("no such option: ", optopt > ' ' ? letter : word);
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
  kWarmUp,
  kJson,
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
                               {"warmup", required_argument, nullptr, kWarmUp},
                               {"export-json", required_argument, nullptr, kJson},
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
    return;
  }
  if (options.script != nullptr) reject("--contenders, and a script too: ", *options.script);
  if (*options.lua_options != nullptr)
    reject("--contenders, and an option of lua's too: ", *options.lua_options);
  if (options.json != nullptr || options.warm_up != 0)
    reject("--export-json and --warmup are for a script", "");
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
  bool has_statement = false;
  int lua_options = 0;
  static char** const passed_on = static_cast<char**>(calloc(2 * static_cast<size_t>(argc) + 1, sizeof(char*)));
  if (passed_on == nullptr) fail("out of memory");
  options.lua_options = passed_on;
  const auto pass_on = [&](char* word) { passed_on[lua_options++] = word; };
  static char execute[] = "-e";
  static char require[] = "-l";
  static char ignore_environment[] = "-E";
  static char warn[] = "-W";
  opterr = 0;
  // "+": the first that is no option is the script; what follows is its own. ":": an argument that is missing
  // is told apart.
  while ((chosen = getopt_long(argc, argv, "+:e:l:EW", kOptions, nullptr)) != -1) {
    switch (chosen) {
      case 'e':
      case 'l':
        has_statement |= chosen == 'e';
        pass_on(chosen == 'e' ? execute : require);
        pass_on(optarg);
        break;
      case 'E':
        pass_on(ignore_environment);
        break;
      case 'W':
        pass_on(warn);
        break;
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
      case kWarmUp:
        options.warm_up = whole_number(optarg);
        break;
      case kJson:
        options.json = optarg;
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
        print_and_exit("moonlet-bench " MOONLET_VERSION " (" MOONLET_LUA_NAME ")\n");
      case ':':
        reject("this option needs a value: ", argv[optind - 1]);
      default:
        reject_option(argv[optind - 1]);
    }
  }
  if (optind < argc) options.script = argv + optind;
  if (options.script == nullptr && !has_statement && options.contenders == nullptr) reject("which script?", "");
  check(options);
  return options;
}

}  // namespace moonlet::bench
