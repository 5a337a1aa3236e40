// Images, those of MOONLET_WARM above all, for people.
#pragma once

namespace moonlet::ctl {

/// Prints what there is, by warm-up: size, age, last use, whether a launch here and now would thaw it and, if
/// not, why. Returns the exit status.
int print_images();

/// Prints about the images at `paths`, null-terminated: what they are, whether a launch here and now would thaw
/// them and, if not, why. Returns EXIT_SUCCESS if it would thaw all of them, else EXIT_FAILURE.
int print_images_at(char** paths);

/// Removes all images and logs. Returns the exit status.
int forget_images();

}  // namespace moonlet::ctl
