/* Anonymous memory of the given number of MiB, full of random bytes, so that nothing about it is easy. */
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
  size_t words = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) * (1 << 20) / 8;
  uint64_t *at = mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return 1;
  uint64_t x = 88172645463325252ull;
  for (size_t i = 0; i < words; i++) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    at[i] = x;
  }
  printf("up\n");
  fflush(stdout);
  for (;;) pause();
}
