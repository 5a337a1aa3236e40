// The images of MOONLET_WARM, for people.
#pragma once

namespace moonlet::ctl {

/// Prints what there is, by warm-up: size, age, last use, whether a launch here and now would thaw it and, if
/// not, why. Returns the exit status.
int print_images();

/// Removes all images and logs. Returns the exit status.
int forget_images();

}  // namespace moonlet::ctl
