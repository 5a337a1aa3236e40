// The file that a warm-up is frozen into. docs/image.md tells the whole; this is its layout, in the byte order
// and with the word size of the machine that it was made on: an image never leaves machines of its kind.
//
//     Header
//     Segment[header.segments]        what is mapped where
//     MappedFile[header.files]        the libraries, and images, that segments come from
//     uint64_t[header.patches]        words that differ from those of an image below
//     questions                       Question after Question, header.questions_size bytes
//     texts                           zero-terminated; offsets count from the beginning of the file
//     notes                           header.notes_size bytes
//     ... the next page: pages
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// An address, a size in bytes, or an offset in a file.
using Word = uintptr_t;

constexpr char kMagic[8] = {'m', 'o', 'o', 'n', 'l', 'e', 't', '\n'};
/// Raised with each change of this file or of what thaw expects.
#if defined(MOONLET_LAYERS)
constexpr uint32_t kFormat = 8;
#else
constexpr uint32_t kFormat = 0x108;  // a launch knows of no images on images
#endif

/// Where the tables may end at the latest, in bytes: a launch maps as much.
constexpr uint32_t kMaxTables = 4 << 20;
constexpr uint32_t kMaxSegments = 512;
constexpr uint32_t kMaxFiles = 128;

struct Header {
  char magic[sizeof kMagic];
  uint32_t format;
  uint32_t lua;          // MOONLET_LUA_CODE
  uint64_t checksum;     // checksum_of()
  Word tables_size;      // bytes, this header included
  Word file_size;        // bytes
  int64_t made_seconds;  // the file's own mtime, CLOCK_REALTIME
  int64_t made_nanoseconds;
  Word entry;           // address of Entry
  Word thread_pointer;  // what the register of that name shall hold
  uint32_t segments;
  uint32_t files;
  uint32_t questions;       // offset, a multiple of 8
  uint32_t questions_size;  // bytes, a multiple of 8
  uint32_t page_size;       // bytes
  uint32_t flags;           // Flag
  uint64_t build;           // of the moonlet that made it: another one's thaw may differ
  uint64_t processor;       // hash_processor() of the auxiliary vector
  // For people, and no launch's business: the names of its modules, then who of them has asked for the time,
  // each zero-terminated, behind the tables.
  uint32_t notes_size;  // bytes
  uint32_t modules;     // how many
  uint32_t heap;        // KiB that its Lua has in use
  uint32_t patches;     // words of 8 bytes
};

enum Flag : uint32_t {
  kTrusted = 1,  // --trust: no file is asked after, and the file's own mtime is not compared
};

enum Protection : uint8_t { kRead = 1, kWrite = 2, kExecute = 4 };  // as PROT_*

/// Memory that no copy of a process may have: it is mapped empty, and is of the same nature again.
enum class Nature : uint8_t {
  kUsual,
  kWipedOnFork,  // madvise(2), MADV_WIPEONFORK, Linux 4.14
  kDroppable,    // mmap(2), MAP_DROPPABLE, Linux 6.11: the state of getrandom in the vdso
};

struct Segment {
  Word address;  // a multiple of the page size
  Word size;     // likewise
  Word offset;   // in its file, likewise
  int16_t file;  // index of a MappedFile, or one of these
  uint8_t protection;
  Nature nature;
};
constexpr int16_t kOfImage = -1;
constexpr int16_t kOfNothing = -2;  // zeroes
constexpr int16_t kWritten =
    -3;  // no mapping, but a part of one that each launch writes to; of no size: unused
constexpr int16_t kBorder =
    -4;  // likewise: a page that shall be a mapping by itself, so that mremap(2) does not grow it
/// How many of kWritten the table has.
constexpr uint32_t kWrittenSegments = 24;

/// A library, the program, or an image that this one lies on: opened, compared by its descriptor, then mapped.
struct MappedFile {
  uint64_t identity;  // identity() in image/answer.h; with kTrusted build_identity()
  uint32_t path;      // offset of the text, absolute
  uint32_t sample;    // with kTrusted: where build_identity() looks, as find_sample() (image/sample.h) has
                      // chosen; or kOfImageBelow
};
/// MappedFile::sample of an image: the file has the same demands on it as this one, and build_identity() looks
/// at its beginning, the header.
constexpr uint32_t kOfImageBelow = ~uint32_t{0};

/// Of a page that is mapped from an image below, and differs in little, this one holds but the words that
/// differ: a launch copies the page in any case, or that costs less than two mappings more. The first of them
/// tells the address, a multiple of 8, and how many follow.
constexpr uint64_t patch_of(uint64_t address, uint64_t words) { return words << 48 | address; }
constexpr Word address_of_patch(uint64_t first) { return static_cast<Word>(first & ((uint64_t{1} << 48) - 1)); }
constexpr uint32_t words_of_patch(uint64_t first) { return static_cast<uint32_t>(first >> 48); }
constexpr uint32_t kMostPatches = 64 << 10;  // words

/// What the warm-up has asked of the world, with the answer that it got. A launch asks again (image/ask.h).
/// image/answer.h has the answers, under these names.
enum class Asked : uint8_t {
  // About files. A path that is not absolute is asked in the launch's own directory.
  kBase,       // text: a directory. The next `aux` bytes of Questions have paths relative to it: a shorter way
  kDirectory,  // text: a directory, or nothing: the base. answer: identity(). If it is the same, the next `aux`
               // bytes of Questions need not be asked: they are names that are not in it
  kFile,       // text: path. answer: identity(), following links
  kLink,       // text: path. answer: identity() of the last component itself
  kKind,       // text: path. answer: kind(), following links
  kTarget,     // text: path. answer: target()
  kLastOfFiles = kTarget,
  // About the rest.
  kContent,           // text: path, in /proc or /sys. answer: content()
  kVariable,          // text: NAME=VALUE, or NAME where it was not set. aux: length of the name
  kVariables,         // text: what the variables begin with ("LD_", or nothing: all), then beginnings of those
                      // that are left out, each zero-terminated, an empty one at the end. answer: variables()
  kTerminal,          // aux: descriptor | TerminalDetail. answer: terminal()
  kWorkingDirectory,  // answer: working_directory()
  kUser,              // answer: user()
  kHost,              // answer: host()
  kProcessors,        // answer: processors()
  kLimit,             // aux: resource (setrlimit(2)). answer: limit()
  kLast = kLimit,
};

enum TerminalDetail : uint32_t {
  kDescriptor = 0xffffff,
  kWindowSize = 1 << 24,  // has been asked too
  kSettings = 1 << 25,    // likewise: all that tcgetattr(3) tells
};

struct Question {
  uint16_t size;  // bytes, with the text: a multiple of 8, at least kLeastQuestion
  Asked asked;
  uint8_t unused;
  uint32_t aux;
  uint64_t answer;
  // char text[], zero-terminated, then zeroes. Each question has one, if an empty one
};
constexpr uint32_t kLeastQuestion = sizeof(Question) + 8;
inline const char* text_of(const Question* question) { return reinterpret_cast<const char*>(question + 1); }
static_assert(sizeof(Question) == 16 && sizeof(Segment) == 4 * sizeof(Word) && sizeof(MappedFile) == 16 &&
              sizeof(Header) % 8 == 0);

/// Mixes 64 bits into a hash that tells answers apart. It resists nobody who chooses them: what is hashed are
/// times that the kernel sets and values that are the caller's own.
constexpr uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
  return hash ^ hash >> 32;
}

/// Of this release: another one's thaw may expect something else.
constexpr uint64_t hash_text(const char* text) {
  uint64_t hash = kFormat;
  while (*text != '\0') hash = mix(hash, static_cast<unsigned char>(*text++));
  return hash;
}
constexpr uint64_t kBuild = hash_text(MOONLET_VERSION);

/// Of `size` bytes, a multiple of 8, at `data`, aligned to 8.
inline uint64_t checksum(const void* data, size_t size) {
  const auto* word = static_cast<const uint64_t*>(data);
  uint64_t hash = size;
  for (; size >= 8; size -= 8) hash = mix(hash, *word++);
  return hash;
}

/// For Header::checksum: of all behind that field, in the tables that `header` is the beginning of.
inline uint64_t checksum_of(const Header& header) {
  constexpr size_t kUnchecked = offsetof(Header, checksum) + sizeof header.checksum;
  return checksum(reinterpret_cast<const char*>(&header) + kUnchecked, header.tables_size - kUnchecked);
}

}  // namespace moonlet::image
