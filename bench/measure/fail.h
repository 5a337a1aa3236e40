// How moonlet-bench ends when it cannot measure.
#pragma once

namespace moonlet::bench {

/// Prints "moonlet-bench: " and the text, which is as for printf(3), and ends with status 1.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace moonlet::bench
