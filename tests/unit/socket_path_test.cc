// Where both programs look for each other.

#include "protocol/socket_path.h"

#include <gtest/gtest.h>

#include <string>

namespace moonlet::protocol {
namespace {

class SocketAddressTest : public testing::Test {
 protected:
  void SetUp() override {
    unsetenv("MOONLET_SOCKET");
    unsetenv("XDG_RUNTIME_DIR");
  }
};

TEST_F(SocketAddressTest, IsInRunUnlessTold) {
  EXPECT_STREQ(socket_address(nullptr).un.sun_path, "/run/moonlet.sock");
}

TEST_F(SocketAddressTest, PrefersTheRuntimeDirectoryThenTheVariableThenTheOption) {
  setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  EXPECT_STREQ(socket_address(nullptr).un.sun_path, "/run/user/7/moonlet.sock");
  setenv("MOONLET_SOCKET", "/a", 1);
  EXPECT_STREQ(socket_address(nullptr).un.sun_path, "/a");
  EXPECT_STREQ(socket_address("/b").un.sun_path, "/b");
  EXPECT_STREQ(socket_address("").un.sun_path, "/a");
}

TEST_F(SocketAddressTest, TakesWhatIsEmptyForNotSet) {
  setenv("XDG_RUNTIME_DIR", "", 1);
  setenv("MOONLET_SOCKET", "", 1);
  EXPECT_STREQ(socket_address(nullptr).un.sun_path, "/run/moonlet.sock");
}

TEST_F(SocketAddressTest, SaysWhenAPathDoesNotFit) {
  const size_t room = sizeof(sockaddr_un::sun_path);
  EXPECT_TRUE(socket_address(std::string(room - 1, 'x').c_str()).fits);
  EXPECT_FALSE(socket_address(std::string(room, 'x').c_str()).fits);
  setenv("XDG_RUNTIME_DIR", std::string(room - 10, 'x').c_str(), 1);
  EXPECT_FALSE(socket_address(nullptr).fits);
}

}  // namespace
}  // namespace moonlet::protocol
