/* Eventfds keep their count, and semaphores stay semaphores; a reader that waits goes on waiting. */
/* kmonte-shows: event/eventfd */
#include "kmonte-test.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>

static int waited;
static uint64_t got;

static void *reader(void *unused) {
  (void)unused;
  return read(waited, &got, sizeof got) == sizeof got ? NULL : (void *)1;
}

int main(void) {
  test_begin();
  int counter = eventfd(41, EFD_NONBLOCK), semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
  int full = eventfd(0, EFD_NONBLOCK), twin = dup(counter);
  uint64_t most = UINT64_MAX - 1, one = 1, value = 0;
  waited = eventfd(0, 0);
  test_check(write(full, &most, sizeof most) == sizeof most, "write");
  pthread_t thread;
  test_check(pthread_create(&thread, NULL, reader, NULL) == 0, "create");
  usleep(20000);
  test_ready_and_wait();
  test_check(write(twin, &one, sizeof one) == sizeof one, "write through the duplicate");
  test_check(read(counter, &value, sizeof value) == sizeof value && value == 42, "the counter has %lu", value);
  test_check(read(counter, &value, sizeof value) == -1 && errno == EAGAIN, "it is not empty");
  for (int i = 0; i < 3; i++) {
    test_check(read(semaphore, &value, sizeof value) == sizeof value && value == 1, "the semaphore gives %lu", value);
  }
  test_check(read(semaphore, &value, sizeof value) == -1 && errno == EAGAIN, "the semaphore is not empty");
  test_check(write(full, &one, sizeof one) == -1 && errno == EAGAIN, "the full one is not full");
  test_check(write(waited, &most, sizeof most) == sizeof most, "write");
  void *result;
  test_check(pthread_join(thread, &result) == 0 && result == NULL && got == most, "the reader got %lu", got);
  test_pass();
}
