// count N: executes 3 N instructions in a loop, by which bench/router-count finds out how many its clock ticks for.
#include <stdlib.h>

int main(int argc, char** argv) {
  long left = argc > 1 ? atol(argv[1]) : 0;
  if (left < 1) return 2;
  __asm__ volatile(
      ".set push\n.set noreorder\n"
      "1: addiu %0, %0, -1\n"
      "bnez %0, 1b\n"
      "nop\n"
      ".set pop"
      : "+r"(left));
  return 0;
}
