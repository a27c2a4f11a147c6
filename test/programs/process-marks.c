/* kmonte-shows: process/attributes process/membarrier process/ldt.x86_64 */
/* What a process has said of itself: core filter, login, dumpable again after a change of user, barriers, segments, merging, the weight of its session. */
#include "kmonte-test.h"
#include <asm/ldt.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  int result = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  return result;
}

static const char *get(const char *path) {
  static char text[128];
  memset(text, 0, sizeof text);
  int fd = open(path, O_RDONLY);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) text[0] = 0;
  close(fd);
  return text;
}

static int barrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

static char ldt_before[64], ldt_after[64];

int main(void) {
  test_begin();
  test_check(put("/proc/self/coredump_filter", "0x7"), "coredump_filter");
  int login = put("/proc/self/loginuid", "4711"), weight = 0;
  setsid();
  weight = put("/proc/self/autogroup", "5");
  test_check(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0, "membarrier");
  test_check(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) == 0, "membarrier");
  int merging = prctl(67, 1, 0, 0, 0) == 0;
  struct user_desc segment = {.entry_number = 3, .base_addr = 0x12345678, .limit = 0xabcde, .seg_32bit = 1, .contents = 0, .limit_in_pages = 1, .useable = 1};
  int segments = syscall(SYS_modify_ldt, 0x11, &segment, sizeof segment) == 0;
  int length = segments ? syscall(SYS_modify_ldt, 0, ldt_before, sizeof ldt_before) : 0;
  test_check(setresuid(1000, 1000, 0) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
  printf("login %d weight %d merging %d segments %d\n", login, weight, merging, segments);
  test_ready_and_wait();
  test_check(prctl(PR_GET_DUMPABLE) == 1, "dumpable is %d", prctl(PR_GET_DUMPABLE));
  test_check(strtol(get("/proc/self/coredump_filter"), NULL, 16) == 7, "coredump_filter %s", get("/proc/self/coredump_filter"));
  test_check(!login || strcmp(get("/proc/self/loginuid"), "4711") == 0, "loginuid %s", get("/proc/self/loginuid"));
  test_check(!weight || strstr(get("/proc/self/autogroup"), "nice 5"), "autogroup %s", get("/proc/self/autogroup"));
  test_check(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0, "the barrier is not registered");
  test_check(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == 0, "the barrier is not registered");
  test_check(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) == -1 && errno == EPERM, "a barrier too many");
  test_check(!merging || prctl(68, 0, 0, 0, 0) == 1, "no merging");
  test_check(!segments || syscall(SYS_modify_ldt, 0, ldt_after, sizeof ldt_after) == length, "segments");
  test_check(memcmp(ldt_before, ldt_after, sizeof ldt_before) == 0, "other segments");
  test_pass();
}
