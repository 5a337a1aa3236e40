// Where moonlet finds what is warm.
#pragma once

namespace moonlet::bench {

enum class WarmSource {
  kImage,     // $MOONLET_IMAGE names an image
  kWarmUp,    // $MOONLET_WARM names what an image of its own is made of
  kMoonletd,  // moonletd has one beside $MOONLET_SOCKET
  kNone,      // nothing is named: moonlet looks where moonletd usually is
};

/// By the variables of this program's environment, in moonlet's order.
WarmSource warm_source();

/// Waits while a launch has an image of $MOONLET_WARM made in the background, and says so on standard error.
/// False if none is being made.
bool wait_for_warm_up();

}  // namespace moonlet::bench
