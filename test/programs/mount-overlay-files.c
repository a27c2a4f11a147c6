/* kmonte-unshare: mnt */
/* kmonte-shows: file/unlinked-file */
/* Files of an overlay: from below, copied up, new, and removed in each of these ways while they were open. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int make(const char *path, const char *text) {
  int file = open(path, O_RDWR | O_CREAT, 0600);
  test_check(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
  return file;
}

static void expect(int file, const char *text) {
  char found[20] = "";
  test_check(pread(file, found, 19, 0) >= 0 && strcmp(found, text) == 0, "%s is %s", text, found);
}

int main(void) {
  test_begin();
  char top[PATH_MAX - 100], options[PATH_MAX * 3];
  mkdir("all", 0700);
  test_check(mount("none", "all", "tmpfs", 0, "") == 0 && chdir("all") == 0 && getcwd(top, sizeof top), "tmpfs");
  mkdir("lower", 0755), mkdir("upper", 0755), mkdir("work", 0755), mkdir("over", 0755);
  const char *below[] = {"lower/kept", "lower/removed", "lower/changed", "lower/mapped"};
  for (int i = 0; i < 4; i++) close(make(below[i], below[i] + 6));
  snprintf(options, sizeof options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", top, top, top);
  test_check(mount("overlay", "over", "overlay", 0, options) == 0 && chdir("over") == 0, "overlay");
  int kept = open("kept", O_RDONLY), removed = open("removed", O_RDONLY), changed = open("changed", O_RDWR);
  int new = make("new", "new"), gone = make("gone", "gone"), mapped = open("mapped", O_RDONLY);
  char *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, mapped, 0);
  close(mapped);
  test_check(pwrite(changed, "C", 1, 0) == 1 && unlink("removed") == 0 && unlink("gone") == 0 && unlink("mapped") == 0, "unlink");
  int watches = inotify_init1(IN_NONBLOCK);
  test_check(inotify_add_watch(watches, "new", IN_MODIFY) == 1, "watch");
  test_ready_and_wait();
  expect(kept, "kept"), expect(removed, "removed"), expect(changed, "Changed"), expect(new, "new"), expect(gone, "gone");
  test_check(memcmp(memory, "mapped", 6) == 0, "the mapping");
  test_check(access("removed", F_OK) < 0 && access("gone", F_OK) < 0 && access("kept", F_OK) == 0, "names");
  struct stat about, same;
  test_check(stat("changed", &about) == 0 && fstat(changed, &same) == 0 && about.st_ino == same.st_ino, "one file");
  struct inotify_event event;
  test_check(write(new, "er", 2) == 2 && read(watches, &event, sizeof event) == sizeof event && event.mask == IN_MODIFY, "the watch");
  test_pass();
}
