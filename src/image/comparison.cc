#include "image/comparison.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

// Whether to patch a run takes at most this part of what its pages take.
bool is_sparse(const Run& run, uint32_t part) {
  return run.words * sizeof(uint64_t) <= (run.to - run.from) / part;
}

// Has the mapping of a run that is the image's own go on over a gap to another one, where that saves calls or
// copies.
void join(const Run& own, Run& gap, Run& other) {
  constexpr uint32_t kLittle = 2;  // pages of the gap that have to be stored
  const bool gains = other.is_own || (other.differs && (other.undisturbed > 0 || !is_sparse(other, 8)));
  if (!own.is_own || gap.differs || gap.filled > kLittle || !gains) return;
  gap.is_own = other.is_own = true;
}

}  // namespace

uint32_t Comparison::compare(const Mapping& it, int file, uint8_t protection) {
  Run* const run = work_.run;
  runs_ = 0;
  for (uintptr_t at = it.from; at < it.to && !frozen_.has_failed(); at += page_)
    add_page(it, file, (protection & kWrite) != 0, at);
  for (uint32_t i = 0; i < runs_; i++) run[i].is_own = run[i].differs && !is_patched(run[i]);
  for (uint32_t i = 2; i < runs_; i++) join(run[i - 2], run[i - 1], run[i]);
  for (uint32_t i = runs_; i > 2; i--) join(run[i - 1], run[i - 2], run[i - 3]);
  for (uint32_t i = 0; i < runs_ && !frozen_.has_failed(); i++) add_patches(it, file, run[i]);
  return runs_;
}

void Comparison::add_page(const Mapping& it, int file, bool can_be_patched, uintptr_t at) {
  const bool is_other = differs(it, file, at);
  if (runs_ == 0 || (work_.run[runs_ - 1].differs != is_other && runs_ < Workspace::kMostRuns))
    work_.run[runs_++] = {at, at, is_other, false, 0, 0, 0};
  Run& last = work_.run[runs_ - 1];
  last.to = at + page_;
  last.differs |= is_other;
  if (touched_.has(at) && !is_zero(at, page_)) last.filled++;
  if (!is_other || !can_be_patched) return;
  last.words += patch(at, nullptr);
  if (!is_written_below(at)) last.undisturbed++;
}

// To map pages amidst a file's takes two calls more, 5 us; to patch one that nobody writes to 2, for its copy.
bool Comparison::is_patched(const Run& run) const {
  constexpr uint32_t kFew = 4;  // pages
  return run.words > 0 && run.undisturbed <= kFew && work_.patches + run.words <= kMostPatches &&
         (run.to - run.from <= kFew * page_ || is_sparse(run, 4));
}

void Comparison::add_patches(const Mapping& it, int file, const Run& run) {
  if (!run.differs || run.is_own) return;
  if (work_.patches + run.words > kMostPatches) return frozen_.fail("too much differs from the image below");
  for (uintptr_t at = run.from; at < run.to; at += page_) {
    if (differs(it, file, at)) work_.patches += patch(at, work_.patch + work_.patches);
  }
}

// Reads the page at `at` of its file. Loaders map more than there is, which nobody can look at (SIGBUS).
bool Comparison::differs(const Mapping& it, int file, uintptr_t at) {
  const bool is_touched = touched_.has(at);
  if (!is_touched && it.inode != 0) return false;
  const ssize_t got = pread(file, work_.chunk, page_, static_cast<off_t>(it.offset + (at - it.from)));
  if (got < 0) frozen_.fail("read %s: %s", it.path, strerror(errno));
  if (got <= 0) return false;
  memset(work_.chunk + got, 0, page_ - static_cast<size_t>(got));
  if (!is_touched) return !is_zero(reinterpret_cast<uintptr_t>(work_.chunk), page_);
  return memcmp(work_.chunk, reinterpret_cast<const void*>(at), page_) != 0;
}

// Makes the patch for the page at `at`, whose difference was just found, at `to`, if that is not null. Returns
// its words.
uint32_t Comparison::patch(uintptr_t at, uint64_t* to) const {
  const auto* const below = reinterpret_cast<const uint64_t*>(work_.chunk);
  const auto* const own = reinterpret_cast<const uint64_t*>(at);
  const size_t words = page_ / sizeof *own;
  uint32_t size = 0;
  for (size_t i = 0; i < words; i++) {
    if (own[i] == below[i]) continue;
    size_t end = i + 1;
    for (size_t next = end; next < words && next <= end + 1; next++) {  // one more to step over costs as much
      if (own[next] != below[next]) end = next + 1;
    }
    if (to != nullptr) {
      to[size] = patch_of(at + i * sizeof *own, end - i);
      memcpy(to + size + 1, own + i, (end - i) * sizeof *own);
    }
    size += static_cast<uint32_t>(1 + end - i);
    i = end;
  }
  return size;
}

// Whether each launch of the image below writes to this page of it: it is copied in any case.
bool Comparison::is_written_below(uintptr_t page) const {
  for (uint32_t i = 0; i < base_.header().segments; i++) {
    const Segment& it = base_.segments()[i];
    if (it.file == kWritten && page - it.address < it.size) return true;
  }
  return false;
}

}  // namespace moonlet::image
