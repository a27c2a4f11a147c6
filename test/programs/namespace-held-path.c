/* kmonte-shows: namespace/file */
/* Namespaces that are held with O_PATH, and the time namespace that a process lives in. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/stat.h>

static ino_t number(int fd) {
  struct stat status;
  test_check(fstat(fd, &status) == 0, "fstat");
  return status.st_ino;
}

static ino_t own(const char *path) {
  struct stat status;
  test_check(stat(path, &status) == 0, "%s", path);
  return status.st_ino;
}

int main(void) {
  test_begin();
  int net = open("/proc/self/ns/net", O_PATH), user = open("/proc/self/ns/user", O_PATH);
  int clocks = open("/proc/self/ns/time", O_RDONLY), clock_path = open("/proc/self/ns/time", O_PATH);
  test_check(net >= 0 && user >= 0, "open");
  test_ready_and_wait();
  test_check(number(net) == own("/proc/self/ns/net") && number(user) == own("/proc/self/ns/user"), "another");
  test_check(fcntl(net, F_GETFL) & O_PATH && fcntl(user, F_GETFL) & O_PATH, "flags");
  test_check(clocks < 0 || number(clocks) == own("/proc/self/ns/time"), "other clocks");
  test_check(clock_path < 0 || number(clock_path) == own("/proc/self/ns/time"), "other clocks");
  test_pass();
}
