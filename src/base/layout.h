// Where variables lie that begin as zero. What a forked child or a fresh process writes shares as few pages as
// can be, because each page costs it a fault and a copy: so large arrays, of which most is never touched, lie
// behind the rest. The linker sorts these variables by the names of their sections (CMakeLists.txt).
#pragma once

#if defined(__mips__)
// All of them are in one section there (-fno-data-sections), which is smaller.
#define MOONLET_OPEN_ENDED
#define MOONLET_LARGE
#else
/// Of which the beginning alone is usually written to, so that it follows what has no mark. One in a program.
#define MOONLET_OPEN_ENDED [[gnu::section(".bss.y")]]
/// Which a launch does not touch, or only its own pages of it.
#define MOONLET_LARGE [[gnu::section(".bss.z")]]
#endif
