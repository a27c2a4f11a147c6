/** bpf(2), as far as maps go (include/uapi/linux/bpf.h). */

export const BPF = {
  BPF_MAP_CREATE: 0,
  BPF_MAP_LOOKUP_ELEM: 1,
  BPF_MAP_UPDATE_ELEM: 2,
  BPF_MAP_GET_NEXT_KEY: 4,
  BPF_MAP_GET_FD_BY_ID: 14,
  BPF_OBJ_GET_INFO_BY_FD: 15,
  BPF_MAP_FREEZE: 22,
} as const;

/** Kinds of map whose entries can be read and written one by one. */
export const BPF_MAP_TYPE = {
  BPF_MAP_TYPE_HASH: 1,
  BPF_MAP_TYPE_ARRAY: 2,
  BPF_MAP_TYPE_PERCPU_HASH: 5,
  BPF_MAP_TYPE_PERCPU_ARRAY: 6,
  BPF_MAP_TYPE_LRU_HASH: 9,
  BPF_MAP_TYPE_LRU_PERCPU_HASH: 10,
  BPF_MAP_TYPE_LPM_TRIE: 11,
} as const;
export const BPF_F_RDONLY = 8;
export const BPF_F_WRONLY = 16;

export const NAME_SIZE = 16;
export const INFO_SIZE = 128;
