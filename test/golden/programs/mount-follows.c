/* kmonte-shows: namespaces/mount-groups */
/* A mount namespace that follows the machine's: what is mounted there, below /dev/shm, is mounted here too. */
#include "mounts.h"
#include <sys/wait.h>

#define AT "/dev/shm/followed"

/* Does something in the mount namespace of the first process. */
static void outside(int down) {
  pid_t child = fork();
  if (child == 0) {
    int fd = open("/proc/1/ns/mnt", O_RDONLY);
    if (fd < 0 || setns(fd, CLONE_NEWNS)) _exit(1);
    if (down) _exit(umount(AT) || rmdir(AT));
    _exit(mkdir(AT, 0755) || mount("none", AT, "tmpfs", 0, NULL));
  }
  int status;
  test_check(waitpid(child, &status, 0) == child && status == 0, "outside: %x", status);
}

static int is_mounted(void) {
  struct stat here, above;
  return stat(AT, &here) == 0 && stat("/dev/shm", &above) == 0 && here.st_dev != above.st_dev;
}

int main(void) {
  test_begin();
  test_check(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0, "unshare");
  outside(0);
  test_check(is_mounted(), "it does not follow");
  outside(1);
  test_ready_and_wait();
  test_check(!is_mounted(), "it is mounted");
  outside(0);
  test_check(is_mounted(), "it does not follow any more");
  outside(1);
  test_check(!is_mounted(), "it is still mounted");
  test_pass();
}
