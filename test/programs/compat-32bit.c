/* kmonte-refuses: COMPAT_32BIT */
/* kmonte-needs: 32-bit */
/* kmonte-cflags: -m32 -nostdlib -static -fno-stack-protector -fno-pie -no-pie -Wno-unused-variable */
/* A 32-bit program without a C library: it says what the others say, and ends when it is told to. */
static int call(int number, int a, int b, int c) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

static volatile int told;
static void on_term(int signal) {
  (void)signal;
  told = 1;
}

static void say(const char *text, int length) { call(4, 1, (int)text, length); }

void _start(void) {
  call(48, 15, (int)on_term, 0); /* signal(SIGTERM) */
  say("READY\n", 6);
  while (!told) call(29, 0, 0, 0); /* pause */
  say("PASS\n", 5);
  call(1, 0, 0, 0);
}
