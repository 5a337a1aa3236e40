#include "freeze/call_filter.h"

#include "base/kernel.h"
#include "freeze/traced_calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

#if defined(__x86_64__) && !defined(__ILP32__)
#define MOONLET_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && !defined(__AARCH64EB__)
#define MOONLET_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__mips__) && _MIPS_SIM == _ABIO32 && defined(__MIPSEL__)
#define MOONLET_ARCHITECTURE AUDIT_ARCH_MIPSEL
#elif defined(__mips__) && _MIPS_SIM == _ABIO32
#define MOONLET_ARCHITECTURE AUDIT_ARCH_MIPS
#endif

#ifdef MOONLET_ARCHITECTURE

namespace {

class Program {
 public:
  Program() {
    load(offsetof(seccomp_data, arch));
    // Programs of another word size that are started from here: their calls have other numbers.
    add(BPF_JMP | BPF_JEQ | BPF_K, MOONLET_ARCHITECTURE, 1, 0);
    allow();
    load(argument(5));
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(kernel::kOwnCall), 0, 3);
    load(argument(5) ^ 4U);
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(uint64_t{kernel::kOwnCall} >> 32U), 0, 1);
    allow();
    load(offsetof(seccomp_data, nr));
    for (size_t i = 0; i < kTracedCallCount; i++) add(kTracedCalls[i]);
    allow();
  }
  [[nodiscard]] sock_fprog get() { return {.len = static_cast<unsigned short>(length_), .filter = code_}; }

 private:
  // The words of arguments that tell: the lower half of each. The upper one is 4 bytes before or behind it.
  static constexpr uint32_t argument(unsigned index) {
    constexpr bool kBigEndian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return static_cast<uint32_t>(offsetof(seccomp_data, args) + size_t{8} * index + (kBigEndian ? 4 : 0));
  }

  void add(uint16_t code, uint32_t value, uint8_t if_true = 0, uint8_t if_false = 0) {
    code_[length_++] = {code, if_true, if_false, value};
  }
  void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void allow() { add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW); }
  void trace() { add(BPF_RET | BPF_K, SECCOMP_RET_TRACE); }

  void add(const TracedCall& call) {
    const auto number = static_cast<uint32_t>(call.number);
    switch (call.call.asks) {
      case Asks::kTerminal:
        add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 6);
        load(argument(1));
        add(BPF_JMP | BPF_JEQ | BPF_K, TCGETS, 2, 0);
        add(BPF_JMP | BPF_JEQ | BPF_K, kTerminalSettings2, 1, 0);
        add(BPF_JMP | BPF_JEQ | BPF_K, TIOCGWINSZ, 0, 1);
        trace();
        allow();
        break;
      case Asks::kInput:
        add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
        load(argument(0));
        add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
        trace();
        allow();
        break;
      default:
        add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        trace();
    }
  }

  sock_filter code_[512];
  size_t length_ = 0;
};

}  // namespace

bool set_call_filter() {
  Program program;
  sock_fprog filter = program.get();
  const auto set = [&filter] { return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0; };
  if (set()) return true;
  return errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && set();
}

#else

bool set_call_filter() { return false; }

#endif

}  // namespace moonlet::freeze::questions
