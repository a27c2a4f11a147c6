/* kmonte-refuses: SHARED_FILE */
/* An eventfd by which a process outside tells something, among many that it does not have. */
#include "kmonte-test.h"
#include "outside.h"
#include <sys/eventfd.h>

static int shared, others[40];

static void use(void) {
  for (int i = 0; i < 40; i += 1) close(others[i]);
}

int main(void) {
  test_begin();
  for (int i = 0; i < 20; i += 1) others[i] = eventfd(0, 0);
  shared = eventfd(0, 0);
  for (int i = 20; i < 40; i += 1) others[i] = eventfd(0, 0);
  start_outside(use);
  test_ready_and_wait();
  test_check(eventfd_write(shared, 1) == 0, "write");
  test_pass();
}
