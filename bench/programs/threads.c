/* The given number of threads, all waiting. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *wait_on(void *unused) {
  for (;;) pause();
  return unused;
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 1000;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (int i = 1; i < count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, &small, wait_on, NULL) != 0) return 1;
  }
  printf("up\n");
  fflush(stdout);
  for (;;) pause();
}
