#include "ctl/escape.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

namespace moonlet::ctl {

namespace {

constexpr const char* kCut = "...";
constexpr int kCutColumns = 3;

struct Character {
  uint32_t code;
  size_t size;  // in bytes; 0: no UTF-8 begins here
};

// The first character of at least one byte (RFC 3629: no surrogates, nothing longer than it must be).
Character decode(const char* bytes, size_t size) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes);
  if (at[0] < 0x80) return {at[0], 1};
  size_t length = 0;
  if (at[0] >= 0xc2 && at[0] <= 0xdf) length = 2;
  if (at[0] >= 0xe0 && at[0] <= 0xef) length = 3;
  if (at[0] >= 0xf0 && at[0] <= 0xf4) length = 4;
  if (length == 0 || length > size) return {at[0], 0};
  uint32_t code = at[0] & (0x7fU >> length);
  for (size_t i = 1; i < length; i++) {
    if ((at[i] & 0xc0) != 0x80) return {at[0], 0};
    code = code << 6 | (at[i] & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {at[0], 0};
  return {code, length};
}

// Controls, marks that turn or join text, what has no width, and what is no character.
bool is_plain(uint32_t code) {
  if (code < 0xa0) return code >= ' ' && code < 0x7f;
  if (code == 0xad || code == 0x61c || code == 0x180e || code == 0xfeff) return false;
  return !(code >= 0x2000 && code <= 0x206f) && !(code >= 0xe000 && code <= 0xf8ff) &&
         !(code >= 0xfff0 && code <= 0xffff) && code < 0xe0000;
}

// How many columns a character takes at most: from Hangul on there are wide ones.
int width_of(uint32_t code) { return code >= 0x1100 ? 2 : 1; }

// Writes what stands for one byte as Lua would have it in a string. Returns its length.
int escape_byte(Text& out, unsigned char byte) {
  const size_t before = out.size();
  if (byte == '\n') {
    out.add("\\n");
  } else if (byte == '\t') {
    out.add("\\t");
  } else {
    out.format("\\%03d", byte);
  }
  return static_cast<int>(out.size() - before);
}

}  // namespace

bool terminal_takes_utf8() {
  // setlocale(3) would need the locale to be installed.
  constexpr const char* kVariables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  for (const char* name : kVariables) {
    const char* value = getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const char* set = strchr(value, '.');
    return set != nullptr && (strncasecmp(set, ".utf-8", 6) == 0 || strncasecmp(set, ".utf8", 5) == 0);
  }
  return false;
}

int add_printable(Text& out, const char* bytes, size_t size, int columns) {
  const bool utf8 = terminal_takes_utf8();
  int used = 0;
  size_t cut_at = out.size();  // where a cut leaves room for what shows it
  int cut_used = 0;
  for (size_t i = 0; i < size;) {
    const Character it = decode(bytes + i, size - i);
    const bool plain = it.size > 0 && is_plain(it.code) && (utf8 || it.code < 0x80);
    size_t taken = it.size > 0 ? it.size : 1;
    if (plain) {
      out.add(bytes + i, taken);
      used += width_of(it.code);
    } else {
      for (size_t k = 0; k < taken; k++) used += escape_byte(out, static_cast<unsigned char>(bytes[i + k]));
    }
    if (used > columns) {
      out.cut(cut_at);
      out.add(kCut);
      return cut_used + kCutColumns;
    }
    if (used <= columns - kCutColumns) {
      cut_at = out.size();
      cut_used = used;
    }
    i += taken;
  }
  return used;
}

void add_json_string(Text& out, const char* bytes, size_t size) {
  out.add("\"");
  for (size_t i = 0; i < size;) {
    const Character it = decode(bytes + i, size - i);
    if (it.code == '"' || it.code == '\\') {
      out.format("\\%c", static_cast<int>(it.code));
    } else if (it.size == 0 || it.code < ' ' || (it.code >= 0x7f && it.code < 0xa0)) {
      out.format("\\u%04x", static_cast<unsigned>(it.code));
    } else {
      out.add(bytes + i, it.size);
    }
    i += it.size > 0 ? it.size : 1;
  }
  out.add("\"");
}

}  // namespace moonlet::ctl
