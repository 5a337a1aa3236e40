// A program around the recorder of questions, for the tests: it runs a Lua script as a warm-up, and writes down
// what that has asked.
//
//     recorder record [--each-call | --untraced] [--trust] [--ignore NAME]... FILE script.lua [argument...]
//     recorder show FILE             each question on a line, with its whole path
//     recorder ask FILE [times]      what differs now; with `times`, how long it takes to ask

#include "freeze/questions.h"
#include "image/ask.h"
#include "lua/lua_api.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet {

namespace {

namespace questions = freeze::questions;
using image::Asked;
using image::Question;

const char* const kNames[] = {
    "base",     "directory",         "file", "link", "kind",       "target", "content", "variable", "variables",
    "terminal", "working directory", "user", "host", "processors", "limit"};

struct Bytes {
  char* at = nullptr;
  uint32_t size = 0;
};

Bytes read_all(const char* path) {
  Bytes all;
  struct stat status;
  const int fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &status) != 0) return all;
  all.size = static_cast<uint32_t>(status.st_size);
  all.at = static_cast<char*>(aligned_alloc(8, (size_t{all.size} + 8) / 8 * 8));
  if (read(fd, all.at, all.size) != static_cast<ssize_t>(all.size)) all.size = 0;
  close(fd);
  return all;
}

int run(int argc, char** argv) {
  lua_State* L = luaL_newstate();
  luaL_openlibs(L);
  lua_newtable(L);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_setglobal(L, "arg");
  if (luaL_loadfile(L, argv[0]) == 0 && lua_pcall(L, 0, 0, 0) == 0) return 0;
  fprintf(stderr, "recorder: %s\n", lua_tostring(L, -1));
  return 1;
}

int record(char** argv) {
  questions::Options options;
  const char* ignored[32];
  options.ignored = ignored;
  for (; *argv != nullptr && **argv == '-'; argv++) {
    if (strcmp(*argv, "--each-call") == 0) options.tracing = questions::Tracing::kEachCall;
    if (strcmp(*argv, "--untraced") == 0) options.tracing = questions::Tracing::kNone;
    if (strcmp(*argv, "--trust") == 0) options.trust = true;
    if (strcmp(*argv, "--ignore") == 0) ignored[options.ignored_count++] = *++argv;
  }
  const char* file = *argv++;
  if (file == nullptr || *argv == nullptr) return 2;
  int argc = 0;
  while (argv[argc] != nullptr) argc++;

  questions::begin(options);
  const int status = run(argc, argv);
  questions::end();
  const questions::Collected all = questions::collect();

  const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0 || write(fd, all.bytes, all.size) != static_cast<ssize_t>(all.size)) return 1;
  close(fd);
  for (uint32_t i = 0; i < all.problem_count; i++) {
    const auto& problem = all.problems[i];
    const bool refuses = problem.matter <= questions::Matter::kLastThatRefuses;
    printf("%s: %s%s\n", refuses ? "refused" : "told", questions::describe(problem.matter), problem.text);
  }
  printf("%s: %u questions, %u bytes\n", all.traced ? "traced" : "untraced", all.count, all.size);
  fflush(stdout);
  questions::forget();
  return status;
}

int show(const char* file) {
  const Bytes all = read_all(file);
  const char* base = "";
  const char* base_end = all.at;
  for (const char* at = all.at; at < all.at + all.size;) {
    const auto* question = reinterpret_cast<const Question*>(at);
    const char* text = at + sizeof *question;
    at += question->size;
    if (text > base_end) base = "";
    if (question->asked == Asked::kBase) {
      base = text;
      base_end = at + question->aux;
      continue;
    }
    const bool is_file = question->asked <= Asked::kLastOfFiles;
    const bool is_absent = is_file && question->asked != Asked::kDirectory && question->answer == 0;
    printf("%s %u %s %s%s%s\n", kNames[static_cast<unsigned>(question->asked)], question->aux,
           is_absent ? "absent" : "there", is_file ? base : "",
           is_file && *base != '\0' && *text != '\0' ? "/" : "", text);
  }
  return 0;
}

// Microseconds.
double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

int ask(const char* file, int times) {
  const Bytes all = read_all(file);
  image::Difference found;
  double least = 1e9;
  int i = 0;
  do {
    const double begin = now();
    found = image::first_that_differs(all.at, all.size, environ, image::Which::kAll);
    const double time = now() - begin;
    if (time < least) least = time;
  } while (++i < times);
  char words[512] = "nothing differs";
  if (found.question != nullptr) image::describe(found, words, sizeof words);
  puts(words);
  if (times > 0) printf("%.1f us at least\n", least);
  return found.question != nullptr ? 1 : 0;
}

}  // namespace

}  // namespace moonlet

int main(int argc, char** argv) {
  if (argc >= 4 && strcmp(argv[1], "record") == 0) return moonlet::record(argv + 2);
  if (argc == 3 && strcmp(argv[1], "show") == 0) return moonlet::show(argv[2]);
  if (argc >= 3 && strcmp(argv[1], "ask") == 0) return moonlet::ask(argv[2], argc > 3 ? atoi(argv[3]) : 0);
  fputs("usage: recorder record|show|ask FILE ...\n", stderr);
  return 2;
}
