/* kmonte-refuses: SHARED_FILE */
/* A file whose one position is shared with a process outside: both would write to the same place. */
#include "kmonte-test.h"
#include "outside.h"
#include <fcntl.h>

int main(void) {
  test_begin();
  int log = open("log", O_WRONLY | O_CREAT, 0600);
  start_outside(NULL);
  test_ready_and_wait();
  test_check(write(log, "line\n", 5) == 5, "write");
  test_pass();
}
