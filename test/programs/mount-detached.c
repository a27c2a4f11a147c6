/* kmonte-refuses: MOUNT_DETACHED */
/* kmonte-unshare: mnt */
/* A file on a mount that is not there any more is refused, and can still be read. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

int main(void) {
  test_begin();
  mkdir("folder", 0700);
  test_check(mount("none", "folder", "tmpfs", 0, "") == 0, "mount");
  int file = open("folder/file", O_RDWR | O_CREAT, 0600);
  test_check(write(file, "there", 5) == 5 && umount2("folder", MNT_DETACH) == 0, "umount2");
  test_ready_and_wait();
  char found[10] = "";
  test_check(pread(file, found, 9, 0) == 5 && strcmp(found, "there") == 0, "contents");
  test_pass();
}
