/*
 * inside TYPES PROGRAM…: runs a program in namespaces of its own, as unshare(1) does, in a program that is small and
 * linked statically: in a new pid namespace its parent is frozen along with it. TYPES are names of /proc/PID/ns, joined
 * by commas.
 */
#define _GNU_SOURCE
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
  const char *name;
  int flag;
} types[] = {{"mnt", CLONE_NEWNS},   {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC},
             {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"user", CLONE_NEWUSER}};

static int fail(const char *what) {
  perror(what);
  return 1;
}

static int loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  int result = ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
  return result;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int flags = 0;
  for (char *name = strtok(argv[1], ","); name; name = strtok(NULL, ","))
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
      if (strcmp(types[i].name, name) == 0) flags |= types[i].flag;
  if (unshare(flags)) return fail("unshare");
  if ((flags & CLONE_NEWNS) && mount("none", "/", "", MS_REC | MS_PRIVATE, NULL)) return fail("mount");
  if ((flags & CLONE_NEWNET) && loopback_up()) return fail("lo");
  if (flags & CLONE_NEWPID) {
    pid_t child = fork();
    if (child < 0) return fail("fork");
    if (child > 0) {
      int status;
      while (waitpid(child, &status, 0) < 0) continue;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    if ((flags & CLONE_NEWNS) && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
      return fail("proc");
  }
  execv(argv[2], argv + 2);
  return fail(argv[2]);
}
