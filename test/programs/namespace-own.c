/* kmonte-refuses: FOREIGN_NAMESPACE */
/* kmonte-shows: process/namespaces */
/* A process with a host name of its own would come back without it. */
#include "kmonte-test.h"
#include <sched.h>

int main(void) {
  test_begin();
  test_check(unshare(CLONE_NEWUTS) == 0 && sethostname("elsewhere", 9) == 0, "unshare");
  test_ready_and_wait();
  char name[64];
  test_check(gethostname(name, sizeof name) == 0 && strcmp(name, "elsewhere") == 0, "the host name is %s", name);
  test_pass();
}
