/* Files without a name, with all that belongs to them: owner, times, attributes; opened by several processes; nested folders that are gone. */
/* kmonte-shows: file/unlinked-file file/removed-directory */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

int main(void) {
  test_begin();
  int fd = open("ghost", O_RDWR | O_CREAT, 0600);
  test_check(write(fd, "0123456789", 10) == 10, "write");
  int xattr = fsetxattr(fd, "trusted.kmonte", "value", 5, 0) == 0;
  fchown(fd, 1234, 4321), fchmod(fd, 04751);
  struct timespec times[2] = {{1000000000, 123}, {1100000000, 456}};
  test_check(futimens(fd, times) == 0, "times");
  int reading = open("ghost", O_RDONLY), writing = open("ghost", O_WRONLY | O_APPEND);
  lseek(reading, 4, SEEK_SET);
  unlink("ghost");
  close(fd);
  test_check(mkdir("a", 0751) == 0 && mkdir("a/b", 0700) == 0 && mkdir("a/b/c", 0705) == 0, "mkdir");
  int inner = open("a/b/c", O_RDONLY | O_DIRECTORY), outer = open("a", O_PATH | O_DIRECTORY);
  int file = open("a/b/file", O_RDWR | O_CREAT, 0644);
  test_check(write(file, "inner", 5) == 5, "inner");
  unlink("a/b/file"), rmdir("a/b/c");
  test_check(rmdir("a/b") == 0 && rmdir("a") == 0, "rmdir");
  mkdir("cwd", 0700);
  pid_t child = fork();
  if (child == 0) {
    test_check(chdir("cwd") == 0 && rmdir("../cwd") == 0, "cwd");
    int own = open(".", O_RDONLY);
    test_ready_and_wait();
    char buffer[10];
    struct stat stat, here;
    if (getcwd(buffer, sizeof buffer) != NULL || errno != ENOENT) _exit(1);
    if (fstat(own, &stat) != 0 || lstat(".", &here) != 0 || stat.st_ino != here.st_ino || stat.st_nlink != 0) _exit(2);
    if (read(reading, buffer, 2) != 2 || memcmp(buffer, "45", 2) != 0) _exit(3);
    if (write(writing, "AB", 2) != 2 || lseek(writing, 0, SEEK_CUR) != 12) _exit(4);
    _exit(0);
  }
  rename("elsewhere", "ghost");
  test_wait();
  struct stat stat;
  test_check(fstat(reading, &stat) == 0 && stat.st_uid == 1234 && stat.st_gid == 4321 && (stat.st_mode & 07777) == 04751, "%d %d %o", stat.st_uid, stat.st_gid, stat.st_mode);
  test_check(stat.st_mtim.tv_sec == 1100000000 && stat.st_mtim.tv_nsec == 456, "mtime %ld", stat.st_mtim.tv_sec);
  test_check(stat.st_atim.tv_sec == 1000000000 && stat.st_atim.tv_nsec == 123, "atime %ld", stat.st_atim.tv_sec);
  char value[20];
  test_check(!xattr || (fgetxattr(reading, "trusted.kmonte", value, sizeof value) == 5 && memcmp(value, "value", 5) == 0), "xattr");
  kill(child, SIGTERM);
  int status;
  test_check(waitpid(child, &status, 0) == child && status == 0, "child: %x", status);
  char buffer[20];
  test_check(lseek(reading, 0, SEEK_CUR) == 6 && read(reading, buffer, 20) == 6 && memcmp(buffer, "6789AB", 6) == 0, "the same file");
  test_check(fstat(inner, &stat) == 0 && stat.st_nlink == 0 && (stat.st_mode & 0777) == 0705, "inner");
  test_check(fstat(outer, &stat) == 0 && stat.st_nlink == 0 && (stat.st_mode & 0777) == 0751, "outer");
  test_check(pread(file, buffer, 20, 0) == 5 && access("a", F_OK) == -1 && access("cwd", F_OK) == -1, "names");
  test_pass();
}
