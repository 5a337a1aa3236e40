// The reader of requests, with a socket pair for a client. The end-to-end tests send it what is wrong
// (test_hostile.py); here is what needs a kernel or a moment of our choice.

#include "child/request.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace moonlet::child {
namespace {

// A request as a client lays it out.
struct Client {
  protocol::Request header = {};
  std::string rest;

  Client(const std::vector<std::string>& argv, const std::vector<std::string>& environment) {
    header.magic = protocol::kMagic;
    header.version = protocol::kVersion;
    header.request_bytes = sizeof header;
    header.argc = static_cast<uint32_t>(argv.size());
    header.envc = static_cast<uint32_t>(environment.size());
    std::string strings;
    for (const auto* list : {&argv, &environment}) {
      for (const std::string& text : *list) {
        const auto length = static_cast<uint32_t>(text.size() + 1);
        rest.append(reinterpret_cast<const char*>(&length), sizeof length);
        strings.append(text.c_str(), length);
      }
    }
    header.string_bytes = static_cast<uint32_t>(strings.size());
    rest += strings;
  }

  // Everything but the descriptors.
  [[nodiscard]] std::string bytes() const {
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) + rest;
  }
};

void send_with_descriptor(int socket, const char* data, size_t size, int descriptor) {
  iovec part = {const_cast<char*>(data), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  ASSERT_EQ(sendmsg(socket, &message, 0), static_cast<ssize_t>(size));
}

class RequestTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_), 0); }
  void TearDown() override {
    close(pair_[0]);
    close(pair_[1]);
  }

  int pair_[2];
  LaunchRequest request_ = {};
};

TEST_F(RequestTest, AWholeRequestIsTakenApart) {
  const Client client({"lua", "-e", ""}, {"A=1", ""});
  const std::string bytes = client.bytes();
  send_with_descriptor(pair_[0], bytes.data(), bytes.size(), pair_[0]);
  ASSERT_EQ(read_request(pair_[1], request_), nullptr);
  EXPECT_STREQ(request_.argv[1], "-e");
  EXPECT_STREQ(request_.argv[2], "");
  EXPECT_EQ(request_.argv[3], nullptr);
  EXPECT_STREQ(request_.environment[0], "A=1");
  EXPECT_STREQ(request_.environment[1], "");
  EXPECT_EQ(request_.environment[2], nullptr);
  EXPECT_GE(fcntl(request_.received[0], F_GETFD), 0);
  EXPECT_EQ(fcntl(request_.received[0], F_GETFD) & FD_CLOEXEC, 0);
  close(request_.received[0]);
}

TEST_F(RequestTest, ARequestMayComeByteByByte) {
  const Client client({"lua"}, {});
  const std::string bytes = client.bytes();
  std::thread slow([&] {
    send_with_descriptor(pair_[0], bytes.data(), 1, pair_[0]);
    for (size_t i = 1; i < bytes.size(); i++) {
      // The reader must find nothing now and then: let it.
      std::this_thread::yield();
      ASSERT_EQ(send(pair_[0], bytes.data() + i, 1, 0), 1);
    }
  });
  EXPECT_EQ(read_request(pair_[1], request_), nullptr);
  slow.join();
  EXPECT_STREQ(request_.argv[0], "lua");
  close(request_.received[0]);
}

TEST_F(RequestTest, EveryPrefixOfARequestIsRefused) {
  const Client client({"lua", "x"}, {"A=1"});
  const std::string bytes = client.bytes();
  for (size_t size = 0; size < bytes.size(); size++) {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ASSERT_EQ(send(pair[0], bytes.data(), size, 0), static_cast<ssize_t>(size));
    close(pair[0]);
    EXPECT_STREQ(read_request(pair[1], request_), "the client left in the middle of it") << size;
    close(pair[1]);
  }
}

TEST_F(RequestTest, DescriptorsThatDoNotFitAreNotLostSilently) {
  const Client client({"lua"}, {});
  const std::string bytes = client.bytes();
  send_with_descriptor(pair_[0], bytes.data(), bytes.size(), pair_[0]);
  std::vector<int> filled;  // until this process has no room
  for (int fd = 0; (fd = dup(pair_[1])) >= 0;) filled.push_back(fd);
  const char* problem = read_request(pair_[1], request_);
  for (const int fd : filled) close(fd);
  EXPECT_STREQ(problem, "too many descriptors");
}

TEST_F(RequestTest, AClaimOfMemoryIsBoundedByWhatIsSent) {
  Client client({"lua"}, {});
  client.header.argc = protocol::kMaxStrings;
  EXPECT_EQ(send(pair_[0], &client.header, sizeof client.header, 0),
            static_cast<ssize_t>(sizeof client.header));
  EXPECT_STREQ(read_request(pair_[1], request_), "its strings are out of bounds");
}

}  // namespace
}  // namespace moonlet::child
