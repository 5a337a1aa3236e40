// What libcxx_probe loads by itself: it throws, and lets others throw through it.
#include <stdexcept>
#include <string>

namespace {
struct OfItsOwn {};
struct OfItsKind : std::logic_error {
  using std::logic_error::logic_error;
};
}  // namespace

extern "C" void plugin_throw(int kind) {
  if (kind == 0) throw OfItsKind("of the plugin's kind");
  if (kind == 1) throw std::runtime_error("of the library's");
  throw OfItsOwn();
}

extern "C" void plugin_call(void (*function)(int)) {
  std::string owned(100, 'x');
  function(static_cast<int>(owned.size()));
}
