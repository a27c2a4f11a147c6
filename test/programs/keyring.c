/* kmonte-shows: security/keyrings security/keyring */
/* Keys in a session keyring that a parent and its child have joined, in the process's keyring and in the thread's. */
#include "kmonte-test.h"
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define KEY_RIGHTS 0x3f1b0000

static int search(int keyring, const char *description) {
  return syscall(SYS_keyctl, KEYCTL_SEARCH, keyring, "user", description, 0);
}

static int reads(int keyring, const char *description, const char *wanted) {
  char text[64] = {0};
  int key = search(keyring, description);
  long length = key < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text);
  return length == (long)strlen(wanted) && memcmp(text, wanted, length) == 0;
}

static void describe(int key, char *text) {
  test_check(syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, text, 128) > 0, "describing %d", key);
}

int main(void) {
  test_begin();
  char name[32], rights[128], now[128];
  int order[2];
  snprintf(name, sizeof name, "kmonte-%d", getpid());
  test_check(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) > 0, "joining a session keyring");
  int key = syscall(SYS_add_key, "user", "kmonte:of the session", "secret", 6, KEY_SPEC_SESSION_KEYRING);
  test_check(key > 0 && syscall(SYS_keyctl, KEYCTL_SETPERM, key, KEY_RIGHTS) == 0, "a key");
  test_check(syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING) == 0, "a link");
  test_check(syscall(SYS_add_key, "user", "kmonte:of the process", "one", 3, KEY_SPEC_PROCESS_KEYRING) > 0, "a key");
  test_check(syscall(SYS_add_key, "user", "kmonte:of the thread", "two", 3, KEY_SPEC_THREAD_KEYRING) > 0, "a key");
  describe(key, rights);
  test_check(pipe(order) == 0, "pipe");
  pid_t child = fork();
  if (child == 0) {
    char byte;
    close(order[1]);
    test_check(setresgid(1, 1, 1) == 0 && setresuid(1, 1, 1) == 0, "another user");
    while (read(order[0], &byte, 1) < 0) continue;
    if (!reads(KEY_SPEC_SESSION_KEYRING, "kmonte:of the session", "secret")) _exit(1);
    if (search(KEY_SPEC_PROCESS_KEYRING, "kmonte:of the process") >= 0) _exit(2);
    _exit(reads(KEY_SPEC_SESSION_KEYRING, "kmonte:late", "three") ? 0 : 3);
  }
  close(order[0]);
  usleep(50000);
  test_ready_and_wait();

  test_check(reads(KEY_SPEC_SESSION_KEYRING, "kmonte:of the session", "secret"), "the session's key");
  test_check(reads(KEY_SPEC_PROCESS_KEYRING, "kmonte:of the process", "one"), "the process's key");
  test_check(reads(KEY_SPEC_THREAD_KEYRING, "kmonte:of the thread", "two"), "the thread's key");
  describe(search(KEY_SPEC_SESSION_KEYRING, "kmonte:of the session"), now);
  test_check(strcmp(rights, now) == 0, "it is %s and was %s", now, rights);
  describe(KEY_SPEC_SESSION_KEYRING, now);
  test_check(strcmp(strrchr(now, ';') + 1, name) == 0, "the keyring is called %s", now);
  int ring[16], user = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0), found = 0;
  long length = syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_SESSION_KEYRING, ring, sizeof ring);
  for (long i = 0; i < length / 4; i++) found += ring[i] == user;
  test_check(found == 1 && length == 8, "%ld bytes of links, %d to the user's keyring", length, found);
  /* What one of them adds, the other finds. */
  test_check(syscall(SYS_add_key, "user", "kmonte:late", "three", 5, KEY_SPEC_SESSION_KEYRING) > 0, "a key more");
  int status;
  close(order[1]);
  test_check(waitpid(child, &status, 0) == child && status == 0, "the child says %x", status);
  test_pass();
}
