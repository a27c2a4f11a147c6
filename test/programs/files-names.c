/* kmonte-shows: file/path-file */
/* Names with blanks, newlines, backslashes, and one that looks as if the file were gone; one of them mapped and watched. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define COUNT 8

int main(void) {
  test_begin();
  const char *names[COUNT] = {"x (deleted)", "a b", "a\nb", "back\\slash", "tab\there", "\303\274n\303\257", "\\012", "#hash"};
  int files[COUNT];
  mkdir("in \\040 (deleted)", 0700);
  test_check(chdir("in \\040 (deleted)") == 0, "chdir");
  for (int i = 0; i < COUNT; i++) {
    files[i] = open(names[i], O_RDWR | O_CREAT, 0600);
    test_check(files[i] >= 0 && write(files[i], &i, sizeof i) == sizeof i, "write");
  }
  int gone = open("gone (deleted)", O_RDWR | O_CREAT, 0600), watches = inotify_init();
  test_check(unlink("gone (deleted)") == 0 && inotify_add_watch(watches, names[2], IN_MODIFY) == 1, "watch");
  char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, files[2], 0);
  close(files[2]);
  test_ready_and_wait();
  struct stat about, same;
  for (int i = 0, found; i < COUNT; i++) {
    if (i == 2) continue;
    test_check(pread(files[i], &found, sizeof found, 0) == sizeof found && found == i, "contents of %s", names[i]);
    test_check(fstat(files[i], &about) == 0 && stat(names[i], &same) == 0 && about.st_ino == same.st_ino, "%s", names[i]);
  }
  test_check(fstat(gone, &about) == 0 && about.st_nlink == 0, "gone");
  memory[0] = 99;
  int again = open(names[2], O_RDWR);
  char byte = 0;
  test_check(read(again, &byte, 1) == 1 && byte == 99 && write(again, "x", 1) == 1, "the mapping");
  struct inotify_event event;
  test_check(read(watches, &event, sizeof event) == sizeof event && event.wd == 1 && event.mask == IN_MODIFY, "the watch");
  test_pass();
}
