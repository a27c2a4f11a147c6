/* What programs about mounts share. */
#ifndef KMONTE_MOUNTS_H
#define KMONTE_MOUNTS_H
#include "kmonte-test.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TOP "/media"

static inline void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
  test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, "%s", path);
}

static inline void expect_file(const char *path, const char *text) {
  char line[200] = "";
  int fd = open(path, O_RDONLY);
  test_check(fd >= 0 && read(fd, line, sizeof line - 1) >= 0 && close(fd) == 0, "%s", path);
  test_check(strcmp(line, text) == 0, "%s holds %s", path, line);
}

static inline void make_dir(const char *path) {
  test_check(mkdir(path, 0755) == 0, "%s", path);
}

static inline void mount_at(const char *from, const char *to, const char *type, unsigned long flags, const char *data) {
  test_check(mount(from, to, type, flags, data) == 0, "mounting %s on %s", from ? from : "", to);
}

/* A mount namespace of its own, nothing of which reaches the machine, with an empty file system at TOP. */
static inline void begin_mounts(void) {
  test_check(unshare(CLONE_NEWNS) == 0, "unshare");
  mount_at("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
  mount_at("top", TOP, "tmpfs", 0, NULL);
}

/* The mounts below TOP, sorted by nothing: mount point, root, options and whether they are shared or follow others. */
static inline void mount_table(char *into, size_t size) {
  FILE *file = fopen("/proc/self/mountinfo", "r");
  test_check(file != NULL, "mountinfo");
  char line[1000], root[300], point[300], options[100];
  size_t length = 0;
  while (fgets(line, sizeof line, file)) {
    test_check(sscanf(line, "%*d %*d %*s %299s %299s %99s", root, point, options) == 3, "%s", line);
    if (strncmp(point, TOP, strlen(TOP)) != 0) continue;
    char *dash = strstr(line, " - ");
    const char *shared = strstr(line, "shared:"), *master = strstr(line, "master:"), *alone = strstr(line, "unbindable");
    length += (size_t)snprintf(into + length, size - length, "%s %s %s%s%s%s %s", root, point, options, shared ? " shared" : "",
                               master ? " master" : "", alone ? " unbindable" : "", dash);
  }
  fclose(file);
}
#endif
