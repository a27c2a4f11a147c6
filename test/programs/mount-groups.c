/* kmonte-shows: mount/peer-groups */
/* Propagation: peers, slaves, a slave that is shared, unbindable, and a second namespace that follows the first. */
#include "mounts.h"

/* Whether what is mounted at `from` is seen at `to`. */
static int reaches(const char *from, const char *to) {
  char there[300], probe[300];
  snprintf(there, sizeof there, "%s/point", from);
  snprintf(probe, sizeof probe, "%s/point/seen", to);
  mount_at("probe", there, "tmpfs", 0, NULL);
  char file[400];
  snprintf(file, sizeof file, "%s/seen", there);
  write_file(file, "seen");
  int result = access(probe, F_OK) == 0;
  test_check(umount(there) == 0, "umount");
  return result;
}

static void check_all(void) {
  test_check(reaches(TOP "/a", TOP "/peer"), "a to its peer");
  test_check(reaches(TOP "/peer", TOP "/a"), "the peer to a");
  test_check(reaches(TOP "/a", TOP "/slave"), "a to its slave");
  test_check(!reaches(TOP "/slave", TOP "/a"), "the slave to a");
  test_check(reaches(TOP "/a", TOP "/both"), "a to the shared slave");
  test_check(reaches(TOP "/both", TOP "/below"), "the shared slave to its peer");
  test_check(!reaches(TOP "/both", TOP "/a"), "the shared slave to a");
  test_check(!reaches(TOP "/a", TOP "/alone"), "a to a private one");
}

int main(void) {
  test_begin();
  static char before[20000], after[20000];
  begin_mounts();
  static const char *const folders[] = {"/a", "/peer", "/slave", "/both", "/below", "/alone", "/unbindable", "/child"};
  for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
    char path[100];
    snprintf(path, sizeof path, TOP "%s", folders[i]);
    make_dir(path);
  }
  mount_at("a", TOP "/a", "tmpfs", 0, NULL);
  make_dir(TOP "/a/point");
  mount_at(NULL, TOP "/a", NULL, MS_SHARED, NULL);
  mount_at(TOP "/a", TOP "/peer", NULL, MS_BIND, NULL);
  mount_at(TOP "/a", TOP "/slave", NULL, MS_BIND, NULL);
  mount_at(NULL, TOP "/slave", NULL, MS_SLAVE, NULL);
  mount_at(TOP "/a", TOP "/both", NULL, MS_BIND, NULL);
  mount_at(NULL, TOP "/both", NULL, MS_SLAVE, NULL);
  mount_at(NULL, TOP "/both", NULL, MS_SHARED, NULL);
  mount_at(TOP "/both", TOP "/below", NULL, MS_BIND, NULL);
  mount_at(TOP "/a", TOP "/alone", NULL, MS_BIND, NULL);
  mount_at(NULL, TOP "/alone", NULL, MS_PRIVATE, NULL);
  mount_at("u", TOP "/unbindable", "tmpfs", 0, NULL);
  mount_at(NULL, TOP "/unbindable", NULL, MS_UNBINDABLE, NULL);
  check_all();
  int up[2], down[2];
  test_check(pipe(up) == 0 && pipe(down) == 0, "pipe");
  pid_t child = fork();
  if (child == 0) {
    char c;
    test_check(unshare(CLONE_NEWNS) == 0, "unshare");
    mount_at("none", TOP "/peer", NULL, MS_SLAVE, NULL);
    test_check(write(up[1], "r", 1) == 1 && read(down[0], &c, 1) == 1, "waiting");
    _exit(access(TOP "/peer/point/seen", F_OK) == 0 ? 0 : 1);
  }
  char c;
  test_check(read(up[0], &c, 1) == 1, "waiting");
  mount_table(before, sizeof before);
  test_ready_and_wait();
  mount_table(after, sizeof after);
  test_check(strcmp(before, after) == 0, "mounts were\n%sand are\n%s", before, after);
  check_all();
  test_check(mount(TOP "/unbindable", TOP "/child", NULL, MS_BIND, NULL) < 0, "unbindable is bound");
  mount_at("probe", TOP "/a/point", "tmpfs", 0, NULL);
  write_file(TOP "/a/point/seen", "seen");
  int status;
  test_check(write(down[1], "g", 1) == 1 && waitpid(child, &status, 0) == child, "child");
  test_check(status == 0, "the other namespace does not follow");
  test_pass();
}
