/* kmonte-unshare: mnt */
/* kmonte-shows: file/shadowed-file */
/* Files and folders over which something was mounted, beside it and at the very same point. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void expect(int file, const char *text) {
  char found[20] = "";
  test_check(pread(file, found, 19, 0) >= 0 && strcmp(found, text) == 0, "%s is %s", text, found);
}

int main(void) {
  test_begin();
  mkdir("folder", 0700);
  int under = open("folder/file", O_RDWR | O_CREAT, 0600), folder = open("folder", O_RDONLY | O_DIRECTORY);
  test_check(write(under, "under", 5) == 5, "under");
  test_check(mount("one", "folder", "tmpfs", 0, "") == 0, "mount");
  int first = open("folder/file", O_RDWR | O_CREAT, 0600);
  test_check(write(first, "first", 5) == 5 && lseek(first, 2, SEEK_SET) == 2, "first");
  int root = open("folder", O_RDONLY | O_DIRECTORY);
  mkdir("folder/here", 0711);
  int top = open(".", O_PATH);
  test_check(chdir("folder/here") == 0, "chdir");
  char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, first, 0);
  char name[50];
  snprintf(name, sizeof name, "/proc/self/fd/%d/folder", top);
  test_check(mount("two", name, "tmpfs", 0, "") == 0, "mount again");
  int second = openat(top, "folder/file", O_RDWR | O_CREAT, 0600);
  test_check(write(second, "second", 6) == 6, "second");
  test_ready_and_wait();
  expect(under, "under");
  expect(first, "first");
  expect(second, "second");
  test_check(lseek(first, 0, SEEK_CUR) == 2, "position");
  memory[0] = 'F';
  expect(first, "First");
  struct stat here, there;
  test_check(stat(".", &here) == 0 && (here.st_mode & 0777) == 0711 && fstat(root, &there) == 0 && here.st_dev == there.st_dev, "working directory");
  test_check(fstatat(root, "file", &here, 0) == 0 && fstat(first, &there) == 0 && here.st_ino == there.st_ino, "the first mount");
  test_check(fstatat(folder, "file", &here, 0) == 0 && fstat(under, &there) == 0 && here.st_ino == there.st_ino && here.st_dev == there.st_dev, "the folder under it");
  test_check(fstat(second, &there) == 0 && there.st_dev != here.st_dev, "another file system");
  test_check(fstatat(top, "folder/here", &here, 0) < 0 && errno == ENOENT, "covered");
  test_pass();
}
