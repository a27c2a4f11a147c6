/* kmonte-unshare: uts,ipc,pid,net,mnt */
/* kmonte-shows: mount/namespace */
/* A container: a root of its own (pivot_root(2)) that holds little, and nothing of the machine's mounts besides. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void bind_in(const char *root, const char *from, const char *to) {
  char target[300];
  snprintf(target, sizeof target, "%s%s", root, to);
  test_check(mkdir(target, 0755) == 0 || errno == EEXIST, "%s", target);
  test_check(mount(from, target, NULL, MS_BIND, NULL) == 0, "binding %s", from);
}

static void enter(const char *self) {
  char root[] = "/tmp/kmonte-pivot-XXXXXX", target[300], folder[300];
  test_check(mkdtemp(root) != NULL, "mkdtemp");
  test_check(mount(root, root, NULL, MS_BIND, NULL) == 0, "root");
  test_check(mount("top", root, "tmpfs", 0, "size=1m") == 0, "tmpfs root");
  snprintf(folder, sizeof folder, "%s", self);
  *strrchr(folder, '/') = 0;
  bind_in(root, "/usr", "/usr");
  bind_in(root, "/tmp", "/tmp");
  bind_in(root, "/dev", "/dev");
  bind_in(root, folder, "/programs");
  for (int i = 0; i < 3; i++) {
    const char *names[] = {"lib", "lib64", "bin"};
    char link[300];
    snprintf(target, sizeof target, "usr/%s", names[i]);
    snprintf(link, sizeof link, "%s/%s", root, names[i]);
    test_check(symlink(target, link) == 0, "%s", link);
  }
  snprintf(target, sizeof target, "%s/proc", root);
  test_check(mkdir(target, 0555) == 0 && mount("proc", target, "proc", MS_NOSUID, NULL) == 0, "proc");
  test_check(chdir(root) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0, "pivot_root");
  test_check(chdir("/") == 0 && rmdir(root) == 0, "entering %s", root);
  snprintf(target, sizeof target, "/programs%s", strrchr(self, '/'));
  execl(target, target, "inside", NULL);
  test_fail("execl %s", target);
}

static int mounts(void) {
  FILE *file = fopen("/proc/self/mountinfo", "r");
  test_check(file != NULL, "mountinfo");
  int lines = 0;
  for (int c; (c = getc(file)) != EOF;) lines += c == '\n';
  fclose(file);
  return lines;
}

int main(int argc, char **argv) {
  test_begin();
  if (argc == 1) enter(argv[0]);
  test_check(mounts() == 6, "%d mounts", mounts());
  test_check(access("/etc", F_OK) < 0, "the machine's root is here");
  int fd = open("/usr/bin/env", O_RDONLY), in_root = open("/made", O_CREAT | O_RDWR, 0600);
  test_check(fd >= 0 && in_root >= 0 && write(in_root, "made", 4) == 4, "open");
  test_check(chdir("/usr") == 0, "chdir");
  pid_t chrooted = fork();
  if (chrooted == 0) {
    test_check(chroot("/usr/bin") == 0 && chdir("/") == 0, "chroot");
    test_wait();
    _exit(access("/env", X_OK) == 0 ? 0 : 1);
  }
  usleep(100000);
  test_ready_and_wait();
  char text[100] = "";
  test_check(mounts() == 6, "now %d mounts", mounts());
  test_check(access("/etc", F_OK) < 0 && access("/usr/bin/env", X_OK) == 0, "another root");
  test_check(pread(in_root, text, 4, 0) == 4 && strcmp(text, "made") == 0, "file in the root: %s", text);
  test_check(access("/made", R_OK) == 0, "/made");
  test_check(getcwd(text, sizeof text) && strcmp(text, "/usr") == 0, "cwd is %s", text);
  memset(text, 0, sizeof text);
  test_check(readlink("/proc/self/exe", text, 99) > 0 && strncmp(text, "/programs/", 10) == 0, "exe is %s", text);
  int status;
  kill(chrooted, SIGTERM);
  test_check(waitpid(chrooted, &status, 0) == chrooted && status == 0, "chrooted child: %x", status);
  test_pass();
}
