// The background of a launch with $MOONLET_WARM that has found no image: one is made.
#pragma once

namespace moonlet::ctl {

/// What moonlet starts for that. `log`: the path of the warm-up's log; another one than is found here means
/// that moonlet is of another build. protocol::kLockDescriptor is the lock. Descriptors 0 to 2, environment and
/// directory are the launch's. Says nothing to anybody but the log.
[[noreturn]] void freeze_in_background(char* log);

}  // namespace moonlet::ctl
