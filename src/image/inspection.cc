#include "image/inspection.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

// `size` bytes of the file `fd` from `at` on, and two zeroes behind them: the end of a text that has none, and
// of a list of texts. Null if they are not there.
char* read_part(int fd, size_t size, off_t at) {
  auto* const part = static_cast<char*>(malloc(size + 2));
  if (part == nullptr) return nullptr;
  part[size] = part[size + 1] = '\0';
  if (pread(fd, part, size, at) == static_cast<ssize_t>(size)) return part;
  free(part);
  return nullptr;
}

bool is_path(Asked asked) { return asked <= Asked::kLastOfFiles && asked != Asked::kBase; }

// The questions have been judged by the first launch that has asked them: the rehearsal. What makes no sense
// ends the walk.
template <typename Each>
void for_each_question(const Tables& tables, Each each) {
  if (tables.at == nullptr) return;
  const Header& header = tables.header();
  const char* const questions = tables.at + header.questions;
  for (uint32_t at = 0; header.questions_size - at >= kLeastQuestion;) {
    const auto* const question = reinterpret_cast<const Question*>(questions + at);
    if (question->size < kLeastQuestion || question->size > header.questions_size - at ||
        question->size % 8 != 0)
      break;
    each(question);
    at += question->size;
  }
}

// Calls `each` with texts `from` to `to`, not included, of those that lie one behind the other in `notes`.
void for_each_note(const char* notes, uint32_t from, uint32_t to, Inspection::Each each, void* context) {
  if (notes == nullptr) return;
  for (uint32_t i = 0; i < to && *notes != '\0'; i++, notes += strlen(notes) + 1) {
    if (i >= from) each(notes, context);
  }
}

}  // namespace

void Inspection::forget() {
  free(const_cast<char*>(tables.at));
  free(notes);
  tables.at = notes = nullptr;
}

bool Inspection::read(int fd) {
  Header header;
  forget();
  if (pread(fd, &header, sizeof header, 0) != sizeof header ||
      memcmp(header.magic, kMagic, sizeof header.magic) != 0 || header.format != kFormat ||
      header.build != kBuild || header.tables_size > kMaxTables || header.tables_size < sizeof header)
    return false;
  tables.at = read_part(fd, static_cast<size_t>(header.tables_size), 0);
  if (has_image() && (memcmp(tables.at, &header, sizeof header) != 0 || judge_tables(tables) != nullptr))
    forget();
  return has_image();
}

void Inspection::read_notes(int fd) {
  if (!has_image() || notes != nullptr || tables.header().notes_size > kMaxTables) return;
  notes = read_part(fd, tables.header().notes_size, static_cast<off_t>(tables.header().tables_size));
}

void Inspection::for_each_module(Each each, void* context) const {
  if (has_image()) for_each_note(notes, 0, tables.header().modules, each, context);
}

void Inspection::for_each_asker_of_clock(Each each, void* context) const {
  if (has_image()) for_each_note(notes, tables.header().modules, UINT32_MAX, each, context);
}

void Inspection::for_each_path(Each each, void* context) const {
  char path[PATH_MAX];
  const char* base = "";
  const char* end_of_base = nullptr;
  for_each_question(tables, [&](const Question* question) {
    const auto* const at = reinterpret_cast<const char*>(question);
    if (at == end_of_base) base = "";
    const char* const text = text_of(question);
    if (question->asked == Asked::kBase) {
      base = text;
      end_of_base = at + question->size + question->aux;
    }
    if (!is_path(question->asked)) return;
    snprintf(path, sizeof path, "%s%s%s", base, *base != '\0' && *text != '\0' ? "/" : "", text);
    each(path, context);
  });
  for (uint32_t i = 0; has_image() && i < tables.header().files; i++) each(tables.path(i), context);
}

void Inspection::count(uint32_t (&number)[kKinds]) const {
  memset(number, 0, sizeof number);
  for_each_question(tables, [&number](const Question* question) {
    const auto kind = static_cast<size_t>(question->asked);
    if (kind < kKinds) number[kind]++;
  });
}

}  // namespace moonlet::image
