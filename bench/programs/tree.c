/* A tree of the given number of processes, ten children to a parent. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int total = argc > 1 ? atoi(argv[1]) : 100, made = 1;
  for (int i = 0; i < 9 && made < total; i++) {
    int below = (total - 1) / 9 - 1;
    if (fork() == 0) {
      for (int j = 0; j < below; j++) if (fork() == 0) break;
      for (;;) pause();
    }
    made += 1 + below;
  }
  usleep(300000);
  printf("up\n");
  fflush(stdout);
  for (;;) pause();
}
