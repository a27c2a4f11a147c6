/* Folders: reading goes on where it was; a working directory that is gone. */
/* kmonte-shows: file/directory process/filesystem-context */
#include "kmonte-test.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

int main(void) {
  test_begin();
  test_check(mkdir("many", 0700) == 0 && mkdir("gone", 0700) == 0, "mkdir");
  char name[64];
  for (int i = 0; i < 500; i++) {
    snprintf(name, sizeof name, "many/%d", i);
    close(open(name, O_CREAT | O_RDWR, 0600));
  }
  DIR *folder = opendir("many");
  int seen[500] = {0}, count = 0;
  struct dirent *entry;
  while (count < 250 && (entry = readdir(folder)))
    if (entry->d_name[0] != '.') seen[atoi(entry->d_name)]++, count++;
  DIR *begun = opendir("many");
  long position = 0;
  for (int i = 0; i < 100; i++) readdir(begun);
  position = telldir(begun);
  struct dirent *next = readdir(begun);
  char expected[256];
  strcpy(expected, next->d_name);
  test_check(chdir("gone") == 0 && rmdir("../gone") == 0, "gone");
  test_ready_and_wait();
  while ((entry = readdir(folder)))
    if (entry->d_name[0] != '.') seen[atoi(entry->d_name)]++, count++;
  test_check(count == 500, "%d names", count);
  for (int i = 0; i < 500; i++) test_check(seen[i] == 1, "%d came %d times", i, seen[i]);
  seekdir(begun, position);
  test_check((next = readdir(begun)) && strcmp(next->d_name, expected) == 0, "%s instead of %s", next->d_name, expected);
  struct stat stat;
  char buffer[200];
  test_check(fstatat(AT_FDCWD, "", &stat, AT_EMPTY_PATH) == 0 && stat.st_nlink == 0, "the working directory");
  test_check(getcwd(buffer, sizeof buffer) == NULL && errno == ENOENT, "getcwd");
  test_check(chdir("..") == 0 || errno == ENOENT, "chdir");
  test_pass();
}
