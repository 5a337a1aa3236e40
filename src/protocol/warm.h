// What moonlet and moonletctl have to agree on where a warm-up shall be frozen in the background.
#pragma once

namespace moonlet::protocol {

/// The file, beside the images, that is locked (flock(2)) while one of them is made.
constexpr char kLockName[] = "lock";

/// What moonletctl has open when it is started for that: this file, locked.
constexpr int kLockDescriptor = 3;

/// In seconds. Longer than that a warm-up that fails is not waited for.
constexpr int kLongestDelay = 24 * 60 * 60;

}  // namespace moonlet::protocol
