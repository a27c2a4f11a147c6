/* kmonte-refuses: FANOTIFY
   A fanotify group. */
/* kmonte-shows: files/refused */
#include "kmonte-test.h"
#include <sys/fanotify.h>

int main(void) {
  test_begin();
  int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, 0);
  test_check(fd >= 0, "fanotify_init");
  test_ready_and_wait();
  test_pass();
}
