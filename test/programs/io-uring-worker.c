/* kmonte-shows: async-io/io-uring-file async-io/io-uring-registered */
/*
 * An io_uring at rest with an idle worker of the kernel's (iou-wrk-PID in /proc/PID/task): it is no thread of the program
 * and is neither stopped nor made again. The ring answers one thread alone.
 */
#include "kmonte-test.h"
#include "io-uring.h"
#include <dirent.h>
#include <fcntl.h>

static int tasks(void) {
  int count = 0;
  DIR *dir = opendir("/proc/self/task");
  for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
  closedir(dir);
  return count;
}

int main(void) {
  test_begin();
  ring_open(4, IORING_SETUP_SINGLE_ISSUER);
  int file = open("/proc/self/exe", O_RDONLY);
  static char bytes[64], again[64];
  struct io_uring_sqe entry = {
      .opcode = IORING_OP_READ, .flags = IOSQE_ASYNC, .fd = file, .addr = (unsigned long)bytes, .len = sizeof bytes};
  ring_submit(entry, 1);
  test_check(ring_reap() == sizeof bytes && tasks() == 2, "a worker reads: %d tasks", tasks());
  test_ready_and_wait();
  entry.addr = (unsigned long)again;
  ring_submit(entry, 1);
  test_check(ring_reap() == sizeof again && memcmp(bytes, again, sizeof bytes) == 0, "it reads again");
  test_pass();
}
