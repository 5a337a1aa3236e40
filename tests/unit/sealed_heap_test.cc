// The heap under what Lua does to it, and under a kernel that gives no more memory.

#include "lua/sealed_heap.h"

#include <gtest/gtest.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#if defined(__SANITIZE_ADDRESS__)
// As malloc is everywhere else: what cannot be had is null.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
#endif

namespace moonlet::heap {
namespace {

struct Block {
  unsigned char* at;
  size_t size;
  unsigned char fill;
};

bool holds(const Block& block, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (block.at[i] != block.fill) return false;
  }
  return true;
}

Block make(size_t size, unsigned char fill) {
  auto* at = static_cast<unsigned char*>(allocate(nullptr, nullptr, 0, size));
  if (at != nullptr) memset(at, fill, size);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % (size % 16 == 0 ? 16 : 8), 0U) << size;  // as malloc does
  return {at, size, fill};
}

void drop(const Block& block) { allocate(nullptr, block.at, block.size, 0); }

// Each size is as likely as its tenfold.
size_t any_size() {
  const size_t limits[] = {32, 300, 3000, 30'000, 300'000, 3'000'000};
  return 1 + static_cast<size_t>(rand()) % limits[rand() % 6];
}

TEST(SealedHeap, KeepsWhatItHolds) {
  srand(1);
  std::vector<Block> blocks;
  for (int i = 0; i < 6000; i++) {
    const auto fill = static_cast<unsigned char>(i);
    const size_t chosen = blocks.empty() ? 0 : static_cast<size_t>(rand()) % blocks.size();
    if (blocks.size() < 200) {
      blocks.push_back(make(any_size(), fill));
      ASSERT_NE(blocks.back().at, nullptr);
      continue;
    }
    Block& block = blocks[chosen];
    ASSERT_TRUE(holds(block, block.size));
    if (rand() % 2 == 0) {
      drop(block);
      blocks[chosen] = blocks.back();
      blocks.pop_back();
    } else {
      const size_t size = any_size();
      auto* at = static_cast<unsigned char*>(allocate(nullptr, block.at, block.size, size));
      ASSERT_NE(at, nullptr);
      block.at = at;
      ASSERT_TRUE(holds(block, size < block.size ? size : block.size));
      memset(at, fill, size);
      block = {at, size, fill};
    }
  }
  for (const Block& block : blocks) drop(block);
}

TEST(SealedHeap, AlignsAsMallocDoes) {
  for (size_t size = 1; size <= 5000; size++) drop(make(size, 1));  // make() checks it
}

TEST(SealedHeap, LeavesASealedBlockAsItIs) {
  const size_t sizes[] = {16, 300, 512, 1024};
  std::vector<Block> blocks;
  for (const size_t size : sizes) blocks.push_back(make(size, 7));
  std::vector<Block> holes;  // free when it is sealed: nothing may come to lie there
  for (int i = 0; i < 1000; i++) holes.push_back(make(48, 9));
  for (const Block& hole : holes) drop(hole);
  seal();
  for (const Block& block : blocks) drop(block);
  for (int i = 0; i < 2000; i++) {
    const Block fresh = make(48, 3);
    for (const Block& hole : holes) ASSERT_NE(fresh.at, hole.at);
  }
  for (const size_t size : sizes) make(size, 4);
  for (const Block& block : blocks) EXPECT_TRUE(holds(block, block.size)) << block.size;
}

TEST(SealedHeap, MovesWhatIsResizedOutOfTheSeal) {
  Block block = make(40, 5);
  seal();
  auto* at = static_cast<unsigned char*>(allocate(nullptr, block.at, 40, 400));
  ASSERT_NE(at, nullptr);
  EXPECT_NE(at, block.at);
  EXPECT_TRUE(holds({at, 40, 5}, 40));
  EXPECT_TRUE(holds(block, 40));
}

TEST(SealedHeap, GivesRunsThatAreEmptyToOtherSizes) {
  rusage usage = {};
  for (int round = 0; round < 40; round++) {
    std::vector<Block> blocks;
    for (int i = 0; i < 20'000; i++) blocks.push_back(make(static_cast<size_t>(16 + round * 24), 1));
    for (const Block& block : blocks) drop(block);
    if (round == 20) getrusage(RUSAGE_SELF, &usage);
  }
  rusage later = {};
  getrusage(RUSAGE_SELF, &later);
  // A round takes up to 20 MB; each of its own would be 300 more.
  EXPECT_LT(later.ru_maxrss - usage.ru_maxrss, 24 * 1024);
}

#if !defined(__SANITIZE_ADDRESS__)  // which needs terabytes of address space

// Bytes that count towards RLIMIT_AS and RLIMIT_DATA: fields 1 and 6 of proc_pid_statm(5).
rlim_t in_use(int resource) {
  unsigned long pages[7] = {};
  FILE* file = fopen("/proc/self/statm", "re");
  for (unsigned long& it : pages) {
    if (fscanf(file, "%lu", &it) != 1) break;
  }
  fclose(file);
  return pages[resource == RLIMIT_AS ? 0 : 5] * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

std::vector<Block> large;  // to be shrunk when there is no memory

// Each to half of its size, down to nothing: that never fails.
bool shrinks() {
  if (large.empty()) return true;
  Block block = large.back();
  large.pop_back();
  while (block.size > 1) {
    const size_t half = block.size / 2;
    block.at = static_cast<unsigned char*>(allocate(nullptr, block.at, block.size, half));
    if (block.at == nullptr) return false;
    block.size = half;
    if (!holds(block, half)) return false;
  }
  drop(block);
  return true;
}

// In a process of its own, which may have 128 MB more. The blocks are a list.
int run_out_of_memory(int resource) {
  const pid_t pid = fork();
  if (pid == 0) {
    const rlim_t most = in_use(resource) + (128 << 20);
    const rlimit limit = {most, most};
    for (int i = 0; i < 4; i++) large.push_back(make(3'000'000, 9));
    if (setrlimit(resource, &limit) != 0) _exit(2);
    for (const size_t size : {size_t{24}, size_t{1000}, size_t{50'000}, size_t{4 << 20}}) {
      unsigned char* last = nullptr;
      size_t total = 0;
      for (Block block = make(size, 6); block.at != nullptr; block = make(size, 6)) {
        memcpy(block.at, &last, sizeof last);
        last = block.at;
        total += size;
      }
      if (total < (64 << 20)) _exit(4);
      if (!shrinks()) _exit(8);
      // Nothing is lost where a block cannot grow.
      if (allocate(nullptr, last, size, size_t{1} << 40) != nullptr) _exit(5);
      while (last != nullptr) {
        if (!holds({last + sizeof last, size, 6}, size - sizeof last)) _exit(6);
        const Block block = {last, size, 6};
        memcpy(&last, last, sizeof last);
        drop(block);
      }
    }
    _exit(make(24, 1).at != nullptr && make(4 << 20, 1).at != nullptr ? 0 : 7);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(SealedHeap, SaysThatThereIsNoMoreAddressSpace) { EXPECT_EQ(run_out_of_memory(RLIMIT_AS), 0); }

TEST(SealedHeap, SaysThatThereIsNoMoreData) { EXPECT_EQ(run_out_of_memory(RLIMIT_DATA), 0); }

#endif

TEST(SealedHeap, RefusesWhatNoMachineHas) {
  EXPECT_EQ(allocate(nullptr, nullptr, 0, SIZE_MAX), nullptr);
  EXPECT_EQ(allocate(nullptr, nullptr, 0, SIZE_MAX - 4096), nullptr);
  EXPECT_EQ(allocate(nullptr, nullptr, 0, SIZE_MAX / 2), nullptr);
  EXPECT_EQ(allocate(nullptr, nullptr, 5, 0), nullptr);
}

}  // namespace
}  // namespace moonlet::heap
