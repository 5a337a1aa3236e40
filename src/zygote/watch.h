// Freshness: which files the warm-up has read, or looked for, and whether one of them has changed since.
#pragma once

namespace moonlet::zygote::watch {

/// From here on add() watches. Before the warm-up, and only where somebody wants to know.
void begin();

/// From here on files that are opened are none of the warm-up's. In the zygote and its children.
void end();

/// Watches what `path` leads to, and every directory and symbolic link on its way: also where there is nothing
/// yet. To be called before the file is opened, so that no change is missed. Relative to the working directory.
/// Of what is no regular file only that it becomes one; a pipe does not count, nor what the kernel makes up in
/// /proc and /sys. Without memory for it looks_changed() is true from then on.
void add(const char* path);

/// In a script that may become a layer: from here on add() remembers what is opened, for resume(); but not for
/// ever, because the script may be none.
void observe();

/// Whether more was opened since observe() than add() remembers.
#if defined(MOONLET_BUILTIN_MODULE)
bool has_lost_track();
#else
constexpr bool has_lost_track() { return false; }
#endif

/// In a layer: watches what the image below has read and what add() has remembered since. If something of it
/// has changed meanwhile, looks_changed() says so.
void resume();

/// The descriptor that is readable when has_changed() may be true, or -1.
int descriptor();

/// Takes what the kernel has told of by descriptor() (inotify(7)) up to now. True if something watched has
/// changed.
bool has_changed();

/// The same for what the kernel cannot watch, by a look at each of it (stat(2)): to be called before each
/// launch. Free where there is nothing of the kind.
bool looks_changed();

/// Writes to `connection` what a status ends with: how many files there are, and their paths
/// (protocol/status.h).
void describe(int connection);

}  // namespace moonlet::zygote::watch
