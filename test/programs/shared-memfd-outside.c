/* kmonte-refuses: SHARED_MEMORY */
/* A memfd whose descriptor is closed here, and that a process outside has open by a way of its own. */
#include "kmonte-test.h"
#include "outside.h"
#include <fcntl.h>
#include <sys/mman.h>

static int memfd;

static void use(void) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", memfd);
  if (open(path, O_RDWR) < 0) _exit(1);
  close(memfd);
}

int main(void) {
  test_begin();
  memfd = memfd_create("kmonte", 0);
  test_check(ftruncate(memfd, 4096) == 0, "ftruncate");
  start_outside(use);
  usleep(100000);
  char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  close(memfd);
  memory[0] = 1;
  test_ready_and_wait();
  test_pass();
}
