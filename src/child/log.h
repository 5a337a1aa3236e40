// One line on standard error for what somebody should know.
#pragma once

#include "child/packed_text.h"

#include <stddef.h>

namespace moonlet {

/// Writes "moonletd: " and the formatted line (printf(3)) in one write, at most 1 KiB of it, to the
/// descriptor that log_to named, at first standard error. "%m" is strerror(errno), in glibc and in musl.
[[gnu::format(printf, 1, 2)]] void log_line(const char* format, ...);

/// Writes `size` bytes at `text`, as they are, in the same way.
void log_text(const char* text, size_t size);

/// The same as log_line(), and then exit(EXIT_FAILURE).
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* format, ...);

/// Sends later lines to `fd`, which stays the caller's; -1: nowhere.
void log_to(int fd);
int log_descriptor();

#if defined(MOONLET_PACKED_TEXTS)
#define log_line(...) log_line(MOONLET_TEXT(__VA_ARGS__))
#define fail(...) fail(MOONLET_TEXT(__VA_ARGS__))
#endif

}  // namespace moonlet
