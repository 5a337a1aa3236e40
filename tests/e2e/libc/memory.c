/* Memory: the break, malloc, mappings, and what the warm-up left in them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

static uint32_t next(uint32_t* state) { return *state = *state * 1664525 + 1013904223; }

/* A pattern that says whose block it is. */
static void fill(unsigned char* block, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++) block[i] = (unsigned char)(i * 7 + seed);
}

static size_t count_wrong(const unsigned char* block, size_t size, unsigned seed) {
  size_t wrong = 0;
  for (size_t i = 0; i < size; i++) wrong += block[i] != (unsigned char)(i * 7 + seed);
  return wrong;
}

#define BLOCKS 400

/* Blocks of 1 byte to 1 MB come, grow and go in an order that is chance, but the same each time. */
static void* churn(void* seed) {
  unsigned char* blocks[BLOCKS] = {0};
  size_t sizes[BLOCKS] = {0}, wrong = 0;
  uint32_t state = (uint32_t)(uintptr_t)seed;
  for (int turn = 0; turn < 6000; turn++) {
    unsigned i = next(&state) >> 16;
    i %= BLOCKS;
    size_t size = ((size_t)1 << (next(&state) >> 16) % 14) + (next(&state) >> 16) % 64;
    if (turn % 500 == 0) size += 1 << 20;
    wrong += count_wrong(blocks[i], sizes[i], i);
    if (turn % 3 == 0) {
      free(blocks[i]);
      blocks[i] = NULL, sizes[i] = 0;
    } else {
      blocks[i] = turn % 3 == 1 ? realloc(blocks[i], size) : (free(blocks[i]), malloc(size));
      MUST(blocks[i] != NULL);
      if (turn % 3 == 1) wrong += count_wrong(blocks[i], size < sizes[i] ? size : sizes[i], i);
      fill(blocks[i], sizes[i] = size, i);
    }
  }
  for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
  return (void*)wrong;
}

static void malloc_here(char** unused) {
  (void)unused;
  say("wrong: %zu", (size_t)churn((void*)1));
}

static void malloc_in_threads(char** unused) {
  (void)unused;
  pthread_t threads[8];
  size_t wrong = 0;
  for (uintptr_t i = 0; i < 8; i++) MUST(pthread_create(&threads[i], NULL, churn, (void*)(i + 2)) == 0);
  wrong += (size_t)churn((void*)99);
  for (int i = 0; i < 8; i++) {
    void* result;
    MUST(pthread_join(threads[i], &result) == 0);
    wrong += (size_t)result;
  }
  say("wrong: %zu", wrong);
}

/* What the break gives back and calloc takes again is zero. */
static void zeroes(char** unused) {
  (void)unused;
  static unsigned char* blocks[64];
  size_t wrong = 0;
  for (size_t size = 16; size <= 600000; size = size * 5 / 2) {
    for (int i = 0; i < 64; i++) {
      MUST((blocks[i] = calloc(1, size)) != NULL);
      for (size_t at = 0; at < size; at++) wrong += blocks[i][at] != 0;
      memset(blocks[i], 0xa5, size);
    }
    for (int i = 0; i < 64; i++) free(blocks[i]);
  }
  say("not zero: %zu", wrong);
}

static unsigned char* kept[BLOCKS];

/* kept_blocks: what was there at the last call is whole; then more is taken. */
static void kept_blocks(char** unused) {
  (void)unused;
  size_t wrong = 0;
  uint32_t state = 5;
  for (unsigned i = 0; i < BLOCKS; i++) {
    size_t size = next(&state) >> 16;
    if (i % 50 == 0) size += 200000; /* by mmap */
    if (kept[i] != NULL) {
      wrong += count_wrong(kept[i], size, i);
      if (i % 3 == 0) MUST((kept[i] = realloc(kept[i], size * 3)) != NULL);
      wrong += count_wrong(kept[i], size, i);
      if (i % 3 == 1) free(kept[i]);
    }
    if (kept[i] == NULL || i % 3 == 1) MUST((kept[i] = malloc(size)) != NULL);
    fill(kept[i], size, i);
  }
  say("wrong: %zu", wrong);
}

/* The break moves by what is asked, and malloc goes on beside it. */
static void move_break(char** unused) {
  (void)unused;
  char *before = sbrk(0), *block = sbrk(300000);
  MUST(before != (void*)-1);
#ifdef __GLIBC__ /* musl's sbrk always fails */
  say("grows: %d", block == before);
  if (block == (void*)-1) return;
  size_t wrong = 0;
  for (int i = 0; i < 300000; i++) wrong += block[i] != 0;
  say("not zero: %zu", wrong);
  memset(block, 1, 300000);
  say("by so much: %d", (char*)sbrk(0) - before == 300000);
  wrong = (size_t)churn((void*)3);
  for (int i = 0; i < 300000; i++) wrong += block[i] != 1;
  say("wrong: %zu", wrong);
  char* top = sbrk(0);
  say("brk: %d", brk(top + 5000));
  say("by so much: %d", (char*)sbrk(0) - top == 5000);
  say("back: %d", sbrk(-5000) == top + 5000);
  say("wrong: %zu", (size_t)churn((void*)4));
#else
  say("grows: %d", block != (void*)-1);
#endif
}

static void trim(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  say("wrong: %zu", (size_t)churn((void*)5));
  malloc_trim(0); /* whether there was something to give back is chance */
  say("wrong: %zu", (size_t)churn((void*)6));
  malloc_trim(1 << 20);
  say("wrong: %zu", (size_t)churn((void*)7));
#endif
}

static void aligned(char** unused) {
  (void)unused;
  for (size_t alignment = 16; alignment <= 1 << 21; alignment *= 8) {
    void* block = NULL;
    MUST((errno = posix_memalign(&block, alignment, 1000)) == 0);
    say("%zu: off by %zu, usable: %d", alignment, (size_t)block % alignment, malloc_usable_size(block) >= 1000);
    memset(block, 1, 1000);
    free(block);
  }
}

static volatile unsigned char* forbidden;
static void write_there(void) { *forbidden = 1; }
static void read_there(void) { say("read %d", *forbidden); }

#define SIZE 40000
static unsigned char untouched[SIZE], touched[SIZE];
static unsigned char *anonymous, *file, *changed_file, *constant, *closed, *returned;

static unsigned char* map(int fd) {
  int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE;
  unsigned char* block = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
  MUST(block != MAP_FAILED);
  return block;
}

/* mappings(path): mapped at the first call; at each they are as they were left. */
static void mappings(char** arguments) {
  if (anonymous == NULL) {
    int fd = open(arguments[0], O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    file = map(fd), changed_file = map(fd), anonymous = map(-1), constant = map(-1);
    close(fd);
    fill(anonymous, SIZE, 1), fill(touched, SIZE, 2), fill(constant, SIZE, 3);
    memset(changed_file + 5000, 'x', 10);
    MUST(mprotect(constant, SIZE, PROT_READ) == 0 && mprotect(file, SIZE, PROT_READ) == 0);
  }
  size_t zeroes = 0;
  for (int i = 0; i < SIZE; i++) zeroes += untouched[i] == 0;
  say("wrong: %zu %zu %zu, zero: %zu", count_wrong(anonymous, SIZE, 1), count_wrong(touched, SIZE, 2),
      count_wrong(constant, SIZE, 3), zeroes);
  say("of the file: %.4s %.4s %.10s", file, changed_file, changed_file + 5000);
  say("both: %d",
      memcmp(file, changed_file, 5000) == 0 && memcmp(file + 5010, changed_file + 5010, SIZE - 5010) == 0);
  forbidden = constant + 100;
  say_of_child(write_there);
  forbidden = file + 100;
  say_of_child(write_there);
  MUST((anonymous = mremap(anonymous, SIZE, 50 * SIZE, MREMAP_MAYMOVE)) != MAP_FAILED);
  say("moved: %zu", count_wrong(anonymous, SIZE, 1));
  MUST((anonymous = mremap(anonymous, 50 * SIZE, SIZE, 0)) != MAP_FAILED);
}

/* Memory that nobody may touch for now keeps what is in it. */
static void closed_memory(char** unused) {
  (void)unused;
  if (closed == NULL) {
    closed = map(-1);
    fill(closed, SIZE, 4);
    MUST(mprotect(closed, SIZE, PROT_NONE) == 0);
  }
  forbidden = closed + 100;
  say_of_child(read_there);
  MUST(mprotect(closed, SIZE, PROT_READ) == 0);
  say("opened: %zu", count_wrong(closed, SIZE, 4));
  MUST(mprotect(closed, SIZE, PROT_NONE) == 0);
}

/* Memory that is given back to the kernel comes back as zeroes (madvise(2), MADV_DONTNEED). */
static void returned_memory(char** unused) {
  (void)unused;
  if (returned == NULL) returned = map(-1);
  fill(returned, SIZE, 5);
  MUST(madvise(returned, SIZE, MADV_DONTNEED) == 0);
  size_t zeroes = 0;
  for (int i = 0; i < SIZE; i++) zeroes += returned[i] == 0;
  say("zero: %zu", zeroes);
  fill(returned, SIZE, 5);
}

/* Text and constants of each library are as the linker has left them: nobody can write there. */
static void protected_parts(char** unused) {
  (void)unused;
  static const char constants[] = "constants";
  forbidden = (volatile unsigned char*)(uintptr_t)constants;
  say_of_child(write_there);
  forbidden = (volatile unsigned char*)(uintptr_t)protected_parts;
  say_of_child(write_there);
  forbidden = (volatile unsigned char*)(uintptr_t)strlen;
  say_of_child(write_there);
  forbidden = (volatile unsigned char*)(uintptr_t)memory_checks; /* after relocation (RELRO) */
  say_of_child(write_there);
  forbidden = NULL;
  say_of_child(write_there);
}

static int compare(const void* a, const void* b) {
  uint32_t first = *(const uint32_t*)a, second = *(const uint32_t*)b;
  return first < second ? -1 : first > second;
}

/* Large enough that glibc asks how much memory there is, and mallocs. */
static void sort(char** unused) {
  (void)unused;
  size_t count = 1000000, wrong = 0;
  uint32_t *numbers = malloc(count * sizeof *numbers), state = 1;
  MUST(numbers != NULL);
  for (size_t i = 0; i < count; i++) numbers[i] = next(&state);
  qsort(numbers, count, sizeof *numbers, compare);
  for (size_t i = 1; i < count; i++) wrong += numbers[i - 1] > numbers[i];
  say("wrong: %zu, first %u, last %u", wrong, numbers[0], numbers[count - 1]);
  free(numbers);
}

const struct check memory_checks[] = {{"malloc_here", malloc_here},
                                      {"malloc_in_threads", malloc_in_threads},
                                      {"zeroes", zeroes},
                                      {"kept_blocks", kept_blocks},
                                      {"move_break", move_break},
                                      {"trim", trim},
                                      {"aligned", aligned},
                                      {"mappings", mappings},
                                      {"closed_memory", closed_memory},
                                      {"returned_memory", returned_memory},
                                      {"protected_parts", protected_parts},
                                      {"sort", sort},
                                      {NULL, NULL}};
