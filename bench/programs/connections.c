/* Holds both ends of as many TCP connections as it is told, each with some bytes that nobody has read yet. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 1;
  struct rlimit limit = {2 * count + 64, 2 * count + 64};
  if (setrlimit(RLIMIT_NOFILE, &limit)) return 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) return 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  for (int i = 0; i < count; i++) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, sizeof address)) return 2;
    int server = accept(listener, NULL, NULL);
    if (server < 0 || write(client, "request", 7) != 7 || write(server, "answer", 6) != 6) return 3;
  }
  close(listener);
  printf("up\n");
  fflush(stdout);
  for (;;) pause();
}
