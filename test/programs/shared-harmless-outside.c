/* kmonte-shows: file/regular file/directory file/device */
/*
 * What a process outside has as well, and what does no harm: files opened twice, a log that both only append to,
 * directories, devices, names of files, and memory that is private.
 */
#include "kmonte-test.h"
#include "outside.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int file;

static void use(void) {
  close(file);
  file = open("file", O_RDWR);
}

int main(void) {
  test_begin();
  int made = open("gone", O_WRONLY | O_CREAT, 0600);
  test_check(write(made, "gone", 4) == 4 && close(made) == 0, "a file");
  made = open("gone", O_RDONLY);
  char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, made, 0);
  test_check(close(made) == 0 && unlink("gone") == 0, "a file that is gone");
  file = open("file", O_RDWR | O_CREAT, 0600);
  int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  int folder = open(".", O_RDONLY | O_DIRECTORY), zero = open("/dev/zero", O_RDONLY), name = open("log", O_PATH);
  test_check(write(file, "abc", 3) == 3, "write");
  start_outside(use);
  usleep(100000);
  map[1] = 'O';
  test_ready_and_wait();
  struct stat status;
  char text[4] = "";
  test_check(lseek(file, 0, SEEK_CUR) == 3 && pread(file, text, 3, 0) == 3 && strcmp(text, "abc") == 0, "the file");
  test_check(write(log, "line\n", 5) == 5 && fstat(folder, &status) == 0 && fstat(name, &status) == 0, "the others");
  test_check(read(zero, text, 1) == 1 && memcmp(map, "gOne", 4) == 0, "the memory");
  test_pass();
}
