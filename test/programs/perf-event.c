/* kmonte-needs: root */
/* kmonte-refuses: PERF_EVENT
   A performance counter. */
/* kmonte-shows: file/unsupported */
#include "kmonte-test.h"
#include <linux/perf_event.h>
#include <sys/syscall.h>

int main(void) {
  test_begin();
  struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK};
  int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
  test_check(fd >= 0, "perf_event_open");
  test_ready_and_wait();
  unsigned long count;
  test_check(read(fd, &count, sizeof count) == sizeof count, "read");
  test_pass();
}
