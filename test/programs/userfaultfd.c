/* kmonte-refuses: USERFAULTFD */
/* Memory whose faults another one serves. */
#include "memory-maps.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

int main(void) {
  test_begin();
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  struct uffdio_api api = {.api = UFFD_API};
  test_check(fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0, "userfaultfd");
  char *at = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register range = {.range = {(unsigned long)at, 16 * 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  test_check(ioctl(fd, UFFDIO_REGISTER, &range) == 0, "register");
  test_ready_and_wait();
  struct uffdio_zeropage zero = {.range = {(unsigned long)at, 4096}};
  test_check(ioctl(fd, UFFDIO_ZEROPAGE, &zero) == 0 && at[0] == 0, "a fault");
  test_pass();
}
