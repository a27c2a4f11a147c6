/* kmonte-needs: root */
/* BPF maps of the simple kinds with what is in them; frozen ones, read-only descriptors. */
/* kmonte-shows: bpf/map-file bpf/map */
#include "kmonte-test.h"
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

static int bpf(int command, union bpf_attr *attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }

static int made(int type, int key, int value, int entries, int flags, const char *name) {
  union bpf_attr attr = {.map_type = type, .key_size = key, .value_size = value, .max_entries = entries, .map_flags = flags};
  strncpy(attr.map_name, name, 15);
  int fd = bpf(BPF_MAP_CREATE, &attr);
  test_check(fd >= 0, "map %s", name);
  return fd;
}

static int touch(int command, int fd, void *key, void *value) {
  union bpf_attr attr = {.map_fd = fd, .key = (unsigned long)key, .value = (unsigned long)value};
  return bpf(command, &attr);
}

int main(void) {
  test_begin();
  int array = made(BPF_MAP_TYPE_ARRAY, 4, 16, 100, 0, "array"), hash = made(BPF_MAP_TYPE_HASH, 8, 4, 1000, BPF_F_NO_PREALLOC, "hash");
  int readonly = made(BPF_MAP_TYPE_HASH, 4, 4, 10, BPF_F_RDONLY, "readonly"), frozen = made(BPF_MAP_TYPE_ARRAY, 4, 8, 3, 0, "frozen");
  int queue = made(BPF_MAP_TYPE_LPM_TRIE, 8, 4, 10, BPF_F_NO_PREALLOC, "trie");
  char value[16];
  for (unsigned i = 0; i < 100; i++) {
    memset(value, 'a' + i % 26, 16);
    unsigned long key = i * 1000003UL;
    test_check(touch(BPF_MAP_UPDATE_ELEM, array, &i, value) == 0 && touch(BPF_MAP_UPDATE_ELEM, hash, &key, &i) == 0, "update");
  }
  unsigned two = 2, prefix[2] = {16, 0x0102};
  test_check(touch(BPF_MAP_UPDATE_ELEM, frozen, &two, "8 bytes") == 0 && touch(BPF_MAP_UPDATE_ELEM, queue, prefix, &two) == 0, "update");
  union bpf_attr freeze = {.map_fd = frozen};
  test_check(bpf(BPF_MAP_FREEZE, &freeze) == 0, "freeze");
  int flags = fcntl(readonly, F_GETFL);
  test_ready_and_wait();
  for (unsigned i = 0; i < 100; i++) {
    char wanted[16];
    memset(wanted, 'a' + i % 26, 16);
    unsigned long key = i * 1000003UL;
    unsigned got = 0;
    test_check(touch(BPF_MAP_LOOKUP_ELEM, array, &i, value) == 0 && memcmp(value, wanted, 16) == 0, "array %u", i);
    test_check(touch(BPF_MAP_LOOKUP_ELEM, hash, &key, &got) == 0 && got == i, "hash %u", i);
  }
  unsigned long none = 17;
  test_check(touch(BPF_MAP_LOOKUP_ELEM, hash, &none, value) == -1 && errno == ENOENT, "too much");
  test_check(touch(BPF_MAP_UPDATE_ELEM, readonly, &two, &two) == -1 && errno == EPERM && fcntl(readonly, F_GETFL) == flags, "read-only");
  test_check(touch(BPF_MAP_LOOKUP_ELEM, frozen, &two, value) == 0 && memcmp(value, "8 bytes", 8) == 0, "frozen");
  test_check(touch(BPF_MAP_UPDATE_ELEM, frozen, &two, "written") == -1 && errno == EPERM, "it thaws");
  prefix[0] = 32;
  test_check(touch(BPF_MAP_LOOKUP_ELEM, queue, prefix, &two) == 0 && two == 2, "trie");
  struct bpf_map_info info = {0};
  union bpf_attr attr = {.info.bpf_fd = hash, .info.info_len = sizeof info, .info.info = (unsigned long)&info};
  test_check(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 && strcmp(info.name, "hash") == 0 && info.map_flags == BPF_F_NO_PREALLOC && info.max_entries == 1000, "info");
  test_pass();
}
