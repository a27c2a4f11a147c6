/* kmonte-unshare: mnt */
/* kmonte-shows: file/unlinked-file */
/* Files that are marked (chattr(1)): one that may only grow, and marks of a file without a name. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int flags_of(int file) {
  int flags = 0;
  ioctl(file, FS_IOC_GETFLAGS, &flags);
  return flags;
}

int main(void) {
  test_begin();
  mkdir("folder", 0700);
  test_check(mount("none", "folder", "tmpfs", 0, "") == 0 && chdir("folder") == 0, "tmpfs");
  int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600), ghost = open("ghost", O_RDWR | O_CREAT, 0600);
  int grows = FS_APPEND_FL, marks = FS_NODUMP_FL;
  test_check(write(log, "one", 3) == 3 && write(ghost, "gone", 4) == 4 && unlink("ghost") == 0, "write");
  /* Kernels before 6.6 keep no marks there. */
  ioctl(log, FS_IOC_SETFLAGS, &grows);
  ioctl(ghost, FS_IOC_SETFLAGS, &marks);
  grows = flags_of(log), marks = flags_of(ghost);
  test_ready_and_wait();
  test_check(flags_of(ghost) == marks, "marks %x were %x", flags_of(ghost), marks);
  test_check(write(log, "two", 3) == 3, "append");
  struct stat about;
  test_check(fstat(log, &about) == 0 && about.st_size == 6, "size %ld", (long)about.st_size);
  char found[10] = "";
  test_check(pread(ghost, found, 9, 0) == 4 && strcmp(found, "gone") == 0, "ghost");
  test_pass();
}
