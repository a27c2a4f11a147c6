/* Contexts of asynchronous I/O: their address is their name; completions that nobody has taken yet. */
/* kmonte-shows: async-io/aio async-io/aio-restore */
#include "kmonte-test.h"
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>

static char block[4096] __attribute__((aligned(4096)));

static void submit(aio_context_t context, int fd, unsigned long data, int operation) {
  struct iocb one = {.aio_data = data, .aio_lio_opcode = operation, .aio_fildes = fd, .aio_buf = (unsigned long)block, .aio_nbytes = 512, .aio_offset = 0}, *list[] = {&one};
  test_check(syscall(SYS_io_submit, context, 1, list) == 1, "submit");
}

int main(void) {
  test_begin();
  aio_context_t idle = 0, pending = 0, used = 0;
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  test_check(ftruncate(fd, 4096) == 0, "file");
  test_check(syscall(SYS_io_setup, 10, &idle) == 0 && syscall(SYS_io_setup, 64, &pending) == 0 && syscall(SYS_io_setup, 3, &used) == 0, "setup");
  struct io_event events[8];
  struct timespec none = {0, 0};
  for (int i = 0; i < 5; i++) {
    submit(used, fd, i, IOCB_CMD_PWRITE);
    test_check(syscall(SYS_io_getevents, used, 1, 1, events, NULL) == 1, "used");
  }
  submit(pending, fd, 0x1111, IOCB_CMD_PREAD), submit(pending, fd, 0x2222, IOCB_CMD_PWRITE), submit(pending, fd, 0x3333, IOCB_CMD_PREAD);
  test_check(syscall(SYS_io_getevents, pending, 1, 1, events, NULL) == 1 && events[0].data == 0x1111, "one");
  usleep(100000);
  test_ready_and_wait();
  test_check(syscall(SYS_io_getevents, idle, 0, 8, events, &none) == 0 && syscall(SYS_io_getevents, used, 0, 8, events, &none) == 0, "idle");
  test_check(syscall(SYS_io_getevents, pending, 0, 8, events, &none) == 2 && events[0].data == 0x2222 && events[1].data == 0x3333 && events[1].res == 512, "pending");
  submit(pending, fd, 0x4444, IOCB_CMD_PREAD), submit(idle, fd, 0x5555, IOCB_CMD_PREAD), submit(used, fd, 0x6666, IOCB_CMD_PREAD);
  test_check(syscall(SYS_io_getevents, pending, 1, 8, events, NULL) == 1 && events[0].data == 0x4444, "goes on");
  test_check(syscall(SYS_io_getevents, idle, 1, 8, events, NULL) == 1 && events[0].data == 0x5555, "goes on");
  test_check(syscall(SYS_io_getevents, used, 1, 8, events, NULL) == 1 && events[0].data == 0x6666, "goes on");
  test_check(syscall(SYS_io_destroy, idle) == 0 && syscall(SYS_io_destroy, pending) == 0 && syscall(SYS_io_destroy, used) == 0, "destroy");
  test_pass();
}
