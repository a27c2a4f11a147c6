/* A TCP socket whose connection has ended: what was received before the end is there, and nothing can be sent. */
/* kmonte-shows: socket/tcp/closed */
#include "kmonte-test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(void) {
  test_begin();
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, name = {0};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  test_check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0, "listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  test_check(connect(client, (struct sockaddr *)&address, length) == 0, "connect");
  int server = accept(listener, NULL, NULL);
  test_check(write(server, "rest", 4) == 4, "write");
  close(server);
  usleep(20000);
  test_check(shutdown(client, SHUT_WR) == 0, "shutdown");
  usleep(20000);
  test_ready_and_wait();
  char text[8] = "";
  test_check(read(client, text, 8) == 4 && memcmp(text, "rest", 4) == 0, "got %s", text);
  test_check(read(client, text, 8) == 0, "no end");
  test_check(send(client, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "can send");
  test_check(getpeername(client, (struct sockaddr *)&name, &length) == -1 && errno == ENOTCONN, "still connected");
  test_check(getsockname(listener, (struct sockaddr *)&name, &length) == 0 && name.sin_port == address.sin_port, "listener");
  test_pass();
}
