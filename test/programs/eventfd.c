/* Eventfds: the counter up to its greatest value, the semaphore kind, one shared with a child. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

int main(void) {
  test_begin();
  int counter = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
  int greatest = eventfd(0, EFD_NONBLOCK), shared = eventfd(0, 0);
  test_check(eventfd_write(counter, 0x123456789abcdef) == 0 && eventfd_write(greatest, UINT64_MAX - 1) == 0, "write");
  pid_t child = fork();
  if (child == 0) {
    signal(SIGTERM, SIG_DFL);
    eventfd_t value;
    _exit(eventfd_read(shared, &value) == 0 && value == 9 ? 5 : 6);
  }
  usleep(50000);
  test_ready_and_wait();
  eventfd_t value;
  test_check(eventfd_read(counter, &value) == 0 && value == 0x123456789abcdef, "counter %lx", value);
  test_check(eventfd_read(counter, &value) == -1 && errno == EAGAIN, "counter");
  for (int i = 0; i < 3; i++) test_check(eventfd_read(semaphore, &value) == 0 && value == 1, "semaphore %d gave %lu", i, value);
  test_check(eventfd_read(semaphore, &value) == -1 && errno == EAGAIN, "semaphore");
  test_check(eventfd_write(greatest, 1) == -1 && errno == EAGAIN && eventfd_read(greatest, &value) == 0 && value == UINT64_MAX - 1, "greatest");
  int status;
  test_check(eventfd_write(shared, 9) == 0 && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5, "child: %x", status);
  test_pass();
}
