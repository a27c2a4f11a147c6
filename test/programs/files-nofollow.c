/* O_NOFOLLOW stays among a file's flags, of files that have a name and of files that have none any more. */
/* kmonte-shows: file/no-follow */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define COUNT 12

static int fds[COUNT], used;

static int keep(int fd) {
  test_check(fd >= 0, "open of number %d", used);
  return fds[used++] = fd;
}

int main(void) {
  test_begin();
  int made = keep(open("gone", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  keep(open("gone", O_RDONLY | O_NOFOLLOW));
  int second = keep(open("gone", O_RDWR | O_NOFOLLOW | O_APPEND));
  keep(open("gone", O_RDWR));
  test_check(write(made, "some", 4) == 4 && unlink("gone") == 0, "unlink");
  char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
  keep(open(".", O_TMPFILE | O_RDWR | O_EXCL | O_NOFOLLOW, 0600));
  keep(open("named", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  test_check(mkdir("folder", 0700) == 0, "mkdir");
  keep(open("folder", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  rmdir("folder");
  test_check(mkfifo("fifo", 0600) == 0 && mkfifo("lost", 0600) == 0, "mkfifo");
  keep(open("fifo", O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
  keep(open("fifo", O_WRONLY | O_NOFOLLOW));
  int reader = keep(open("lost", O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
  int writer = keep(open("lost", O_WRONLY | O_NONBLOCK | O_NOFOLLOW));
  test_check(write(writer, "pipe", 4) == 4 && unlink("lost") == 0, "lost");
  keep(open("/dev/null", O_RDWR | O_NOFOLLOW));
  int flags[COUNT];
  for (int i = 0; i < used; i++) flags[i] = fcntl(fds[i], F_GETFL);

  test_ready_and_wait();

  for (int i = 0; i < used; i++)
    test_check(fcntl(fds[i], F_GETFL) == flags[i], "flags %d are %o, were %o", i, fcntl(fds[i], F_GETFL), flags[i]);
  char buffer[10] = "";
  test_check(lseek(made, 0, SEEK_CUR) == 4 && lseek(second, 0, SEEK_CUR) == 0, "positions");
  test_check(write(second, "more", 4) == 4 && memcmp(map, "somemore", 8) == 0, "contents");
  test_check(read(reader, buffer, 9) == 4 && strcmp(buffer, "pipe") == 0, "the pipe gave %s", buffer);
  struct stat status;
  test_check(stat("gone", &status) == -1 && stat("lost", &status) == -1 && stat("folder", &status) == -1, "names");
  test_pass();
}
