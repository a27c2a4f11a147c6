/* kmonte-needs: root */
/* kmonte-shows: security/keyrings security/keyring */
/*
 * Services as systemd starts them: each has an anonymous session keyring of its own with keys of root's, some of which
 * it cannot read itself. Threads, children, and a sibling that is no child have the same one; a thread may have left
 * it for another, and somebody uses that of the user. One leads to the keyring of another user's, as that of a login.
 */
#include "kmonte-test.h"
#include <grp.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Its possessor and owner view, read and search it, as systemd's invocation_id; its possessor only finds it, which is
   enough to read it (keyctl(2)); or it is nothing to its possessor. */
#define INVOCATION_RIGHTS 0x0b0b0000
#define FOUND_RIGHTS 0x080b0000
#define HIDDEN_RIGHTS 0x000b0000

struct shared {
  volatile int ready, go;
};
static struct shared *shared;

static long keyctl(int operation, long a, long b, long c, long d) {
  return syscall(SYS_keyctl, operation, a, b, c, d);
}

static long key(const char *description, const char *payload, long rights) {
  long made = syscall(SYS_add_key, "user", description, payload, strlen(payload), KEY_SPEC_SESSION_KEYRING);
  test_check(made > 0 && keyctl(KEYCTL_SETPERM, made, rights, 0, 0) == 0, "a key");
  return made;
}

/* 0 when it holds what it shall, the errno of reading it otherwise. */
static int reads(const char *description, const char *wanted) {
  char text[64] = {0};
  long found = keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (long)"user", (long)description, 0);
  if (found < 0) return errno;
  long length = keyctl(KEYCTL_READ, found, (long)text, sizeof text, 0);
  if (length < 0) return errno;
  return length == (long)strlen(wanted) && memcmp(text, wanted, length) == 0 ? 0 : EBADMSG;
}

static long ring(void) { return keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0); }

/* Of who has logged in through the first service. */
#define PERSON 4712

/* Whoever has the person's real id gets the keyring that the kernel has for him. */
static int leads_to_person(void) {
  int held[16];
  syscall(SYS_setresuid, PERSON, 0, 0);
  long wanted = keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0, 0, 0);
  syscall(SYS_setresuid, 0, 0, 0);
  long length = keyctl(KEYCTL_READ, ring(), (long)held, sizeof held, 0);
  for (long i = 0; i < length / (long)sizeof held[0]; i += 1)
    if (held[i] == wanted) return 1;
  return 0;
}

/* What a service finds in its keyring. */
static int finds(int service, int hidden_error) {
  if (service == 0 && !leads_to_person()) return 7;
  char wanted[16], rights[128] = {0};
  snprintf(wanted, sizeof wanted, "service %d", service);
  if (reads("invocation_id", wanted) != 0) return 1;
  if (reads("kmonte:found", wanted) != 0) return 2;
  if (reads("kmonte:hidden", wanted) != hidden_error) return 3;
  if (keyctl(KEYCTL_DESCRIBE, ring(), (long)rights, sizeof rights, 0) < 0) return 4;
  if (strcmp(strrchr(rights, ';') + 1, "_ses") != 0) return 5;
  return strstr(rights, ";3f030000;") ? 0 : 6;
}

static void become(int id) {
  if (id == 0) return;
  test_check(setgroups(0, NULL) == 0 && setresgid(id, id, id) == 0 && setresuid(id, id, id) == 0, "user %d", id);
}

struct thread {
  int service, error;
  /* It has joined another keyring; or it waits in the one of its process. */
  int apart, result;
};

static void *in_thread(void *argument) {
  struct thread *thread = argument;
  if (thread->apart) {
    keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
    key("kmonte:apart", "alone", 0x3f3f0000);
  }
  __sync_add_and_fetch(&shared->ready, 1);
  while (!shared->go) usleep(1000);
  if (thread->apart) thread->result = reads("kmonte:apart", "alone") + (reads("invocation_id", "") != ENOKEY);
  else thread->result = finds(thread->service, thread->error);
  return NULL;
}

static void wait_to_look(void) {
  __sync_add_and_fetch(&shared->ready, 1);
  while (!shared->go) usleep(1000);
}

/* The service itself: the keyring is its user's, the keys are root's, as systemd has it. */
static int service(int i, int user, int in_user_namespace) {
  char payload[16];
  snprintf(payload, sizeof payload, "service %d", i);
  test_check(setresuid(user, user, 0) == 0 && keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0, "a keyring");
  test_check(setresuid(0, 0, 0) == 0, "root again");
  if (i == 0) {
    syscall(SYS_setresuid, PERSON, 0, 0);
    test_check(keyctl(KEYCTL_LINK, KEY_SPEC_USER_KEYRING, ring(), 0, 0) == 0, "a link");
    syscall(SYS_setresuid, 0, 0, 0);
  }
  key("invocation_id", payload, INVOCATION_RIGHTS);
  key("kmonte:found", payload, FOUND_RIGHTS);
  key("kmonte:hidden", payload, HIDDEN_RIGHTS);
  int error = user == 0 ? 0 : EACCES;
  /* A sibling that has the keyring too, and that is nobody's child who has it. */
  if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) {
    become(user);
    wait_to_look();
    _exit(finds(i, error));
  }
  if (in_user_namespace) test_check(unshare(CLONE_NEWUSER) == 0, "a user namespace");
  else become(user);
  pid_t child = fork();
  if (child == 0) {
    wait_to_look();
    _exit(finds(i, error));
  }
  pthread_t threads[2];
  struct thread states[2] = {{i, error, 0, -1}, {i, error, 1, -1}};
  for (int t = 0; t < 2; t += 1) pthread_create(&threads[t], NULL, in_thread, &states[t]);
  wait_to_look();
  int status, found = finds(i, error);
  if (found) return found;
  for (int t = 0; t < 2; t += 1) {
    pthread_join(threads[t], NULL);
    if (states[t].result) return 10 * (t + 1) + states[t].result;
  }
  test_check(waitpid(child, &status, 0) == child, "waiting");
  return WEXITSTATUS(status) ? 100 + WEXITSTATUS(status) : 0;
}

/* Without a keyring of its own: everybody of its user has this one. */
static int ordinary(void) {
  become(4711);
  long usual = keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0, 0, 0);
  char name[] = "_uid_ses.4711";
  if (keyctl(KEYCTL_JOIN_SESSION_KEYRING, (long)name, 0, 0, 0) != usual) return 1;
  wait_to_look();
  return ring() == keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0, 0, 0) ? 0 : 2;
}

int main(void) {
  test_begin();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  /* Two of root's, one of another user's, one with its own user namespace, and somebody ordinary. */
  const int users[] = {0, 0, 65534, 0};
  for (int i = 0; i < 4; i += 1)
    if (fork() == 0) _exit(service(i, users[i], i == 3));
  if (fork() == 0) _exit(ordinary());
  while (shared->ready < 4 * 5 + 1) usleep(1000);
  test_ready_and_wait();
  shared->go = 1;
  int status, children = 0;
  for (pid_t pid; (pid = wait(&status)) > 0; children += 1)
    test_check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "process %d says %d", pid, WEXITSTATUS(status));
  test_check(children == 9, "%d children", children);
  test_pass();
}
