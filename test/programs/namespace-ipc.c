/* kmonte-unshare: ipc */
/* kmonte-shows: namespaces/ipc */
/* Limits of an IPC namespace of its own. */
#include "kmonte-test.h"
#include <sys/ipc.h>
#include <sys/msg.h>

static void put(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  test_check(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s", path);
}

static void expect(const char *path, const char *text) {
  char line[100] = "";
  FILE *file = fopen(path, "r");
  test_check(file && fgets(line, sizeof line, file) && fclose(file) == 0, "%s", path);
  test_check(strcmp(line, text) == 0, "%s is %s", path, line);
}

int main(void) {
  test_begin();
  put("/proc/sys/kernel/msgmax", "4321\n");
  put("/proc/sys/kernel/shmall", "1234\n");
  put("/proc/sys/kernel/sem", "100\t2000\t30\t40\n");
  test_ready_and_wait();
  expect("/proc/sys/kernel/msgmax", "4321\n");
  expect("/proc/sys/kernel/shmall", "1234\n");
  expect("/proc/sys/kernel/sem", "100\t2000\t30\t40\n");
  test_check(msgget(7, 0) < 0 && errno == ENOENT, "the namespace is not empty");
  test_pass();
}
