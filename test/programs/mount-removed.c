/* kmonte-shows: mount/removed-source */
/* kmonte-needs: root */
/* Mounts whose source was removed since, or replaced by another: on a file system of the set's own, and on the machine's. */
#include "mounts.h"

static void bind_to(const char *from, const char *name, int folder) {
  char to[60];
  snprintf(to, sizeof to, TOP "/%s", name);
  if (folder)
    make_dir(to);
  else
    write_file(to, "");
  mount_at(from, to, NULL, MS_BIND, NULL);
}

static void expect_removed(const char *name) {
  char line[1000], end[80];
  snprintf(end, sizeof end, "//deleted " TOP "/%s ", name);
  int found = 0;
  FILE *file = fopen("/proc/self/mountinfo", "r");
  while (fgets(line, sizeof line, file)) found += strstr(line, end) != NULL;
  fclose(file);
  test_check(found == 1, "%s was removed", name);
}

int main(void) {
  test_begin();
  umask(0);
  char cwd[100], path[200];
  test_check(getcwd(cwd, sizeof cwd) != NULL, "getcwd");
  write_file("config", "old"), write_file("config.new", "new");
  begin_mounts();
  make_dir(TOP "/own"), make_dir(TOP "/own/folder"), write_file(TOP "/own/file", "own");
  test_check(mkfifo(TOP "/own/fifo", 0620) == 0 && chmod(TOP "/own/folder", 0711) == 0, "mkfifo");
  test_check(mknod(TOP "/own/null", S_IFCHR | 0604, 0x103) == 0, "mknod");
  snprintf(path, sizeof path, "%s/config", cwd);
  bind_to(path, "config", 0);
  bind_to(TOP "/own/file", "file", 0), bind_to(TOP "/own/file", "again", 0);
  bind_to(TOP "/own/fifo", "fifo", 0), bind_to(TOP "/own/null", "null", 0);
  bind_to(TOP "/own/folder", "folder", 1);
  test_check(rename("config.new", "config") == 0 && unlink(TOP "/own/file") == 0 && unlink(TOP "/own/fifo") == 0, "unlink");
  test_check(unlink(TOP "/own/null") == 0 && rmdir(TOP "/own/folder") == 0 && rmdir(TOP "/own") == 0, "rmdir");
  test_ready_and_wait();
  const char *names[] = {"config", "file", "again", "fifo", "null", "folder"};
  for (int i = 0; i < 6; i++) expect_removed(names[i]);
  expect_file(TOP "/config", "old");
  expect_file(path, "new");
  expect_file(TOP "/file", "own");
  write_file(TOP "/file", "written");
  expect_file(TOP "/again", "written");
  struct stat seen, same;
  test_check(stat(TOP "/fifo", &seen) == 0 && seen.st_mode == (S_IFIFO | 0620), "fifo");
  test_check(stat(TOP "/null", &seen) == 0 && seen.st_mode == (S_IFCHR | 0604) && seen.st_rdev == 0x103, "null");
  test_check(stat(TOP "/folder", &seen) == 0 && seen.st_mode == (S_IFDIR | 0711), "folder");
  test_check(stat(TOP "/file", &seen) == 0 && stat(TOP "/again", &same) == 0 && seen.st_ino == same.st_ino, "one file");
  test_check(stat(TOP "/own", &seen) < 0 && errno == ENOENT, "own");
  test_check(umount2(TOP, MNT_DETACH) == 0, "umount");
  test_pass();
}
