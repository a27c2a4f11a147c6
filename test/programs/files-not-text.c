/* kmonte-refuses: PATH_NOT_TEXT */
/* A file whose name is no text is refused; names with blanks, newlines and marks of their own are not meant by that. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/stat.h>

int main(void) {
  test_begin();
  int odd = open("odd \xff\xfe", O_RDWR | O_CREAT, 0600), line = open("two\nlines (deleted)", O_RDWR | O_CREAT, 0600);
  test_check(write(odd, "odd", 3) == 3 && line >= 0, "write");
  test_ready_and_wait();
  struct stat about, same;
  test_check(fstat(odd, &about) == 0 && stat("odd \xff\xfe", &same) == 0 && about.st_ino == same.st_ino, "the file");
  test_pass();
}
