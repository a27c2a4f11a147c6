/* kmonte-refuses: SHARED_SOCKET */
/* A listening socket that a process outside has as well: its address stays taken. */
#include "kmonte-test.h"
#include "outside.h"
#include <netinet/in.h>
#include <sys/socket.h>

int main(void) {
  test_begin();
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  test_check(bind(listener, (struct sockaddr *)&any, sizeof any) == 0 && listen(listener, 4) == 0, "listen");
  start_outside(NULL);
  test_ready_and_wait();
  test_pass();
}
