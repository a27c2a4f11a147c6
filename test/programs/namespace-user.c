/* kmonte-refuses: FOREIGN_NAMESPACE */
/* A process in a user namespace of its own would come back with other rights. */
#include "kmonte-test.h"
#include <sched.h>

int main(void) {
  test_begin();
  uid_t before = getuid();
  test_check(unshare(CLONE_NEWUSER) == 0, "unshare");
  test_check(getuid() != before, "still user %d", before);
  test_ready_and_wait();
  test_check(getuid() == 65534, "user %d", getuid());
  test_pass();
}
