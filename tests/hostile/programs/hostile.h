// What the attacks have in common. `stub.h` is written by the test: the addresses and formats of the stub.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "stub.h"

// Pseudo-random numbers of the seed.
uint64_t rnd(void);
// A value that is likely to hurt where it is taken for an address, a length, a number of something.
uint64_t crafted(void);
// Whether the attack shall go on.
bool time_left(void);
// Runs it in a process of its own, of a user without rights, which may end in whatever way; one that has not ended after so
// many milliseconds is killed, and must then end soon.
void attempt(void (*what)(void *), void *argument, int milliseconds);
// The same, again and again until the attack ends.
void attempts(void (*what)(void *), void *argument, int milliseconds);
// The same once, waiting for what it does; the exit status, or 128 and the signal.
int outcome(void (*what)(void *), void *argument, int milliseconds);
// The attacked kernel has done what it must not do.
void broken(const char *what, uint64_t how) __attribute__((noreturn));

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15, REGISTERS };
// Jumps there with these registers.
void jump_with(const uint64_t *registers, uint64_t to) __attribute__((noreturn));
// Crafted values for all of them.
void craft_registers(uint64_t *registers);
// A call that no library touches.
long raw(long number, long a, long b, long c, long d, long e, long f);

// Instructions of our own: calls, each followed by one that is not allowed; and a loop.
extern char own_syscall[], own_int80[], own_sysenter[], own_far[], own_loop[];
// Memory that can be written.
extern char scratch[1 << 16];

// The address of a sequence of bytes in the stub's code that the trap platform adds; 0 if it is not there.
uint64_t find(const char *bytes, int length);
// One of the `syscall` instructions that lie in the stub.
uint64_t some_site(void);
// A slot, most likely one that is this process's.
uint64_t some_slot(void);

extern volatile uint64_t *forged_frame(uint64_t *memory, uint64_t rip, uint64_t rsp);

void attack_jump(void), attack_sites(void), attack_numbers(void), attack_bases(void);
void attack_mailbox(void), attack_frames(void), attack_forge(void), attack_futex(void), attack_question(void);
void attack_sigreturn(void), attack_blocked(void);
void attack_mapper(void), attack_exhaust(void), attack_leak(void), attack_prize(void);
