// The way out for what cannot be done.
#pragma once

namespace moonlet::ctl {

/// Writes "moonletctl: " and the formatted line (printf(3)) to standard error and exits with 125.
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* format, ...);

}  // namespace moonlet::ctl
