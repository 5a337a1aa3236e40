#include "ctl/images.h"

#include "base/unique_fd.h"
#include "ctl/attempt.h"
#include "ctl/cache.h"
#include "ctl/escape.h"
#include "ctl/fail.h"
#include "ctl/judge_image.h"
#include "ctl/terminal.h"
#include "ctl/text.h"
#include "ctl/units.h"
#include "image/cache_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

struct Names {
  static constexpr size_t kMost = 1024;  // of warm-ups; more are not shown
  char name[kMost][image::CachePath::kNameLength + 1];
  size_t count = 0;

  void add(const char* one) {
    for (size_t i = 0; i < count; i++) {
      if (strcmp(name[i], one) == 0) return;
    }
    if (count < kMost) memcpy(name[count++], one, sizeof *name);
  }
};

void add_line(const char* begin, const Text& line, Text& out) {
  if (line.size() == 0) return;
  out.add(begin);
  add_printable(out, line.bytes(), line.size(), INT_MAX);
  out.add("\n");
}

// What is in the image at `path`.
void add_content(const char* path, Text& out) {
  Text modules;
  add_modules(path, modules);
  add_line("    ", modules, out);
  Text below;
  add_images_below(path, below);
  add_line("    lies on ", below, out);
}

void add_judgement(Judgement judgement, const char* words, int columns, Text& out) {
  out.add(judgement == Judgement::kFits       ? ": fits here"
          : judgement == Judgement::kMissing  ? ": there is none"
          : judgement == Judgement::kOutdated ? ": outdated: "
                                              : ": not here: ");
  add_printable(out, words, strlen(words), columns);
  out.add("\n");
}

Short since(const timespec& then, time_t now) {
  return age(then.tv_sec < now ? static_cast<uint32_t>(now - then.tv_sec) : 0);
}

// Prints about one cache.
class Listing {
 public:
  Listing(Text& out, const Cache& cache, const char* directory, int columns)
      : out_(out), cache_(cache), directory_(directory), columns_(columns), now_(time(nullptr)) {}

  void add_title(const char* shown) {
    const auto count = static_cast<unsigned>(cache_.end() - cache_.begin());
    out_.format("%s: %u image%s, %s\n", shown, count, count == 1 ? "" : "s", bytes(cache_.bytes()).text);
  }

  void add_warm_up(const char* name) {
    Attempt attempt;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s.log", directory_, name);
    const UniqueFd log(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (log.valid()) read_attempt(log.get(), attempt);
    out_.add("\n");
    if (attempt.warm_up.size() == 0) out_.add("(not known)");
    add_printable(out_, attempt.warm_up.bytes(), attempt.warm_up.size(), columns_);
    out_.add("\n");
    for (const CachedImage& it : cache_) {
      if (strcmp(it.name, name) == 0) add_image(it);
    }
    if (attempt.has_failed) add_failure(attempt, path);
  }

 private:
  void add_image(const CachedImage& image) {
    char path[PATH_MAX];
    char words[512] = "";
    snprintf(path, sizeof path, "%s%s-%d.image", directory_, image.name, image.slot);
    const Judgement judgement = judge_image(path, words, sizeof words);
    out_.format("  %s-%d  %8s  made %s ago, ", image.name, image.slot, bytes(image.bytes).text,
                since(image.made, now_).text);
    if (image.was_used()) {
      out_.format("used %s ago", since(image.used, now_).text);
    } else {
      out_.add("not used yet");
    }
    add_judgement(judgement, words, columns_, out_);
    add_content(path, out_);
  }

  void add_failure(const Attempt& attempt, const char* path) {
    out_.format("  failed %s ago, ", since(attempt.ended, now_).text);
    if (attempt.next.tv_sec > now_) {
      out_.format("will be tried again in %s: ", age(static_cast<uint32_t>(attempt.next.tv_sec - now_)).text);
    } else {
      out_.add("will be tried again: ");
    }
    const char* const line = attempt.output.bytes();
    add_printable(out_, line, strcspn(line, "\r\n"), columns_);
    out_.format("\n    (%s)\n", path);
  }

  Text& out_;
  const Cache& cache_;
  const char* directory_;
  int columns_;
  time_t now_;
};

// The path of the directory, with a slash. False if there is none.
bool open_cache(Cache& cache, image::CachePath& path) {
  if (!path.set_directory()) fail("neither HOME nor XDG_CACHE_HOME is a path");
  if (cache.open(path.text())) {
    cache.list();
    return true;
  }
  if (errno == 0) fail("%s: others could write there", path.text());
  if (errno != ENOENT) fail("%s: %s", path.text(), strerror(errno));
  return false;
}

}  // namespace

int print_images() {
  Cache cache;
  image::CachePath path;
  Text out;
  if (open_cache(cache, path)) {
    Names names;
    for (const CachedImage& it : cache) names.add(it.name);
    cache.for_each_log([](const char* name, void* context) { static_cast<Names*>(context)->add(name); },
                       &names);
    Listing listing(out, cache, path.text(), size_of_terminal().columns);
    listing.add_title(path.text());
    for (size_t i = 0; i < names.count; i++) listing.add_warm_up(names.name[i]);
  } else {
    out.format("%s: no images\n", path.text());
  }
  if (!out.write_to(STDOUT_FILENO)) fail("write: %s", strerror(errno));
  return EXIT_SUCCESS;
}

int print_images_at(char** paths) {
  Text out;
  bool fit = true;
  for (; *paths != nullptr; paths++) {
    char words[512] = "";
    const Judgement judgement = judge_image(*paths, words, sizeof words);
    fit &= judgement == Judgement::kFits;
    add_printable(out, *paths, strlen(*paths), INT_MAX);
    struct stat status;
    if (stat(*paths, &status) == 0)
      out.format("  %s  made %s ago", bytes(static_cast<uint64_t>(status.st_blocks) * 512).text,
                 since(status.st_mtim, time(nullptr)).text);
    add_judgement(judgement, words, INT_MAX, out);
    add_content(*paths, out);
  }
  if (!out.write_to(STDOUT_FILENO)) fail("write: %s", strerror(errno));
  return fit ? EXIT_SUCCESS : EXIT_FAILURE;
}

int forget_images() {
  Cache cache;
  image::CachePath path;
  if (!open_cache(cache, path)) return EXIT_SUCCESS;
  for (const CachedImage& it : cache) cache.remove(it);
  cache.for_each_log(
      [](const char* name, void* context) { static_cast<const Cache*>(context)->remove_log(name); }, &cache);
  cache.list();
  if (cache.begin() == cache.end()) return EXIT_SUCCESS;
  fprintf(stderr, "moonletctl: %s: not all could be removed\n", path.text());
  return EXIT_FAILURE;
}

}  // namespace moonlet::ctl
