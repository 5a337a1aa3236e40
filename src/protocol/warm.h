// What moonlet and moonletctl say to each other of a warm-up that shall be frozen in the background.
#pragma once

namespace moonlet::protocol {

/// What moonletctl has open when it is started for that: the log of the warm-up, locked.
constexpr int kLogDescriptor = 3;

/// In seconds. Longer than that a warm-up that fails is not waited for.
constexpr int kLongestDelay = 24 * 60 * 60;

}  // namespace moonlet::protocol
