#include "freeze/redone.h"

#include "image/complain.h"
#include "image/machine.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

// Before the warm-up.
char** variables = nullptr;  // a copy of environ, which setenv(3) changes
struct stat directory_before;
mode_t mask_before;
uint64_t float_control_before;

// What is to be done.
char* directory = nullptr;  // to go to
bool changes_mask = false;
mode_t mask;
bool changes_float_control = false;
uint64_t float_control;
bool clears_environment = false;
bool changes_time_zone = false;
// NAME=VALUE to set, NAME to unset, in that order: unsetting comes first. Null at the end.
char** environment_changes = nullptr;
size_t change_count = 0;

mode_t current_mask() {
  const mode_t now = umask(0);
  umask(now);
  return now;
}

size_t count_of(char** list) {
  size_t count = 0;
  while (list != nullptr && list[count] != nullptr) count++;
  return count;
}

size_t name_length(const char* variable) { return strcspn(variable, "="); }

bool have_same_name(const char* one, const char* other) {
  const size_t length = name_length(one);
  return length == name_length(other) && memcmp(one, other, length) == 0;
}

void add_change(const char* variable, size_t length) {
  if (length == 2 && memcmp(variable, "TZ", 2) == 0) changes_time_zone = true;
  if (strncmp(variable, "TZ=", 3) == 0) changes_time_zone = true;
  environment_changes[change_count++] = strndup(variable, length);
}

// libc replaces an entry where it is, takes one out and moves the others up, or adds one at the end. Of an
// array that the warm-up has made itself this finds that all has been unset and set.
void compare_environment() {
#if defined(MOONLET_LAYERS)
  change_count = 0;  // those of an image below are among those that are found
  clears_environment = changes_time_zone = false;
#endif
  char** now = environ;
  char** old = variables;
  const size_t most = count_of(now) + count_of(old) + 1;
  environment_changes = static_cast<char**>(calloc(most, sizeof *environment_changes));
  if (environment_changes == nullptr) return;
  static char* none[] = {nullptr};
  if (now == nullptr) now = none;
  bool keeps_any = *old == nullptr;
  char** at = now;
  for (; *old != nullptr; old++) {
    if (*at != nullptr && (*at == *old || have_same_name(*at, *old))) {
      at++;
      keeps_any = true;
    } else {
      add_change(*old, name_length(*old));
    }
  }
  if (!keeps_any) {
    // Then it was clearenv(3): what else a launch may have goes too.
    clears_environment = changes_time_zone = true;
    change_count = 0;
  }
  old = variables;
  for (; *now != nullptr; now++) {
    while (*old != nullptr && *old != *now && !have_same_name(*now, *old)) old++;
    if (*old == nullptr || *old != *now) add_change(*now, strlen(*now));
    if (*old != nullptr) old++;
  }
}

bool keep_directory() {
#if defined(MOONLET_LAYERS)
  directory = nullptr;
#endif
  struct stat now;
  if (stat(".", &now) == 0 && now.st_dev == directory_before.st_dev && now.st_ino == directory_before.st_ino)
    return true;
  directory = getcwd(nullptr, 0);
  return directory != nullptr && directory[0] == '/';
}

}  // namespace

void remember_what_may_be_redone() {
  const size_t size = (count_of(environ) + 1) * sizeof *variables;
  variables = static_cast<char**>(malloc(size));
  if (variables != nullptr) memcpy(variables, environ, size);
  stat(".", &directory_before);
  mask_before = current_mask();
  float_control_before = image::float_control();
}

int keep_what_is_redone() {
  if (variables != nullptr) compare_environment();
  free(variables);
  variables = nullptr;
  mask = current_mask();
  changes_mask = mask != mask_before;
  float_control = image::float_control();
  changes_float_control = float_control != float_control_before;
  if (keep_directory()) return 0;
  return image::complain("the warm-up went to a directory that is gone");
}

const char* redo() {
  if (directory != nullptr && chdir(directory) != 0) return "the warm-up's working directory cannot be entered";
  if (changes_mask) umask(mask);
  if (changes_float_control) image::set_float_control(float_control);
  if (clears_environment) clearenv();
  for (size_t i = 0; i < change_count; i++) {
    char* const change = environment_changes[i];
    if (strchr(change, '=') != nullptr) {
      putenv(change);
    } else {
      unsetenv(change);
    }
  }
  if (changes_time_zone) tzset();
  return nullptr;
}

}  // namespace moonlet::freeze
