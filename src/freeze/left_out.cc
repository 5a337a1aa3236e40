#include "freeze/left_out.h"

#include "base/layout.h"
#include "freeze/leftovers.h"
#include "freeze/questions.h"
#include "image/complain.h"
#include "lua/needs.h"
#include "lua/requiring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace moonlet::freeze {

namespace {

const Options* options = nullptr;

// What is left out: of this image, and before that of those below it, which know of it no other way.
MOONLET_LARGE const char* left_out[Options::kMostLeftOut];
int left_out_count = 0;

// What can be in no image.
MOONLET_LARGE const char* leavers[Options::kMostLeftOut];
int leaver_count = 0;
int missed = 0;                // modules that are loaded, and have asked for what is left out
const char* misser = nullptr;  // the last of them
bool is_lost = false;          // no module has left it, or they are too many

bool is_among(const char* const* names, int count, const char* name) {
  for (int i = 0; i < count; i++) {
    if (strcmp(names[i], name) == 0) return true;
  }
  return false;
}

void add_leaver(const char* name) {
  if (name == nullptr || leaver_count + left_out_count >= Options::kMostLeftOut) {
    is_lost = true;
  } else if (!is_among(leavers, leaver_count, name)) {
    leavers[leaver_count++] = name;
  }
}

bool leaves_out(const char* name) {
  if (!is_among(left_out, left_out_count, name)) return false;
  if (const int asks = requiring::current()) {
    misser = needs::at(asks).name;
    add_leaver(misser);
    missed++;
  }
  return true;
}

bool needs_leaver(int module) {
  for (int i = 1; i <= needs::count(); i++) {
    if (needs::has_asked_for(module, i) && is_among(leavers, leaver_count, needs::at(i).name)) return true;
  }
  return false;
}

// Whoever needs one of them.
void add_needing() {
  for (int before = -1; before != leaver_count && !is_lost;) {
    before = leaver_count;
    for (int i = 1; i <= needs::count(); i++) {
      if (needs_leaver(i)) add_leaver(needs::at(i).name);
    }
  }
}

void tell() {
  fputs("moonlet: freeze: the image is made without", stderr);
  for (int i = 0; i < leaver_count; i++) fprintf(stderr, "%s %s", i == 0 ? "" : ",", leavers[i]);
  fputs(": a launch that needs it loads it\n", stderr);
}

// The command line that has led here, and more of --leave-out.
void run_again() {
  constexpr int kOthers = 8;
  const int most = kOthers + 2 * (options->ignored + Options::kMostLeftOut) + options->argc;
  auto** const argv = static_cast<const char**>(calloc(static_cast<size_t>(most), sizeof(char*)));
  if (argv == nullptr) return;
  int argc = 0;
  argv[argc++] = options->argv[0];
  if (options->base != nullptr) {
    argv[argc++] = "--image";
    argv[argc++] = options->base;
  }
  argv[argc++] = "--freeze";
  argv[argc++] = options->image;
  if (options->trust) argv[argc++] = "--trust";
  const auto add = [&](const char* option, const char* const* values, int count) {
    for (int i = 0; i < count; i++) {
      argv[argc++] = option;
      argv[argc++] = values[i];
    }
  };
  add("--ignore", options->ignore, options->ignored);
  add("--leave-out", options->leave_out, options->left_out);
  add("--leave-out", leavers, leaver_count);
  for (int i = 1; i < options->argc; i++) argv[argc++] = options->argv[i];
  questions::execute_again(argv, argc);
}

}  // namespace

void begin_to_leave_out(const Options& its_options) {
  options = &its_options;
  for (int i = 0; i < options->left_out && left_out_count < Options::kMostLeftOut; i++) {
    const char* const copy = strdup(options->leave_out[i]);  // the arguments will be forgotten
    if (copy != nullptr) left_out[left_out_count++] = copy;
  }
  observe_leaver = add_leaver;
  requiring::leaves_out = leaves_out;
}

int run_without_leavers() {
  add_needing();
  if (leaver_count == 0 || is_lost || options->whole || !questions::can_execute_again()) {
    if (missed != 0) image::complain("module %s needs what is left out", misser);
    return missed;
  }
  tell();
  run_again();
  return image::complain("the warm-up cannot be run again");
}

}  // namespace moonlet::freeze
