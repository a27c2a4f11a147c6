/* kmonte-refuses: SHARED_FILE */
/* A log that is only appended to, but whose lock is held together with a process outside. */
#include "kmonte-test.h"
#include "outside.h"
#include <fcntl.h>
#include <sys/file.h>

int main(void) {
  test_begin();
  int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  test_check(flock(log, LOCK_EX) == 0, "flock");
  start_outside(NULL);
  test_ready_and_wait();
  test_pass();
}
