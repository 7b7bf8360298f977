// Jumps into the code of the stub, and calls from everywhere.
#define _GNU_SOURCE
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "hostile.h"

uint64_t jump_target;
asm(".globl jump_with, raw, own_syscall, own_int80, own_sysenter, own_far, own_loop\n"
    "jump_with: mov %rsi, jump_target(%rip)\n"
    "mov 0(%rdi), %rax; mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx; mov 32(%rdi), %rsi\n"
    "mov 48(%rdi), %rbp; mov 56(%rdi), %rsp; mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10\n"
    "mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
    "mov 40(%rdi), %rdi; jmp *jump_target(%rip)\n"
    "raw: mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx; mov %r8, %r10; mov %r9, %r8\n"
    "mov 8(%rsp), %r9; syscall; ret\n"
    "own_syscall: syscall; hlt\n"
    "own_int80: int $0x80; hlt\n"
    "own_sysenter: sysenter; hlt\n"
    "own_far: pushq $0x23; pushq $own_int80; lretq\n"
    "own_loop: jmp own_loop\n");

static uint64_t find_in(uint64_t from, uint64_t size, const char *bytes, int length)
{
	char *found = memmem((void *)from, size, bytes, length);
	return (uint64_t)found;
}

uint64_t find(const char *bytes, int length)
{
	return find_in(TRAP_CODE, TRAP_CODE_SIZE, bytes, length);
}

static uint64_t sites[256];
static int site_count;

static void find_sites(uint64_t from, uint64_t size)
{
	for (uint64_t at = from; site_count < 256;) {
		at = find_in(at, from + size - at, "\x0f\x05", 2);
		if (!at)
			break;
		sites[site_count++] = at++;
	}
}

uint64_t some_site(void)
{
	if (!site_count) {
		find_sites(CODE, 4096);
		find_sites(TRAP_CODE, TRAP_CODE_SIZE);
		if (site_count < 10)
			broken("sites that are known", site_count);
	}
	return sites[rnd() % site_count];
}

static uint64_t code_length(uint64_t from, uint64_t size)
{
	while (size > 64 && ((char *)from)[size - 1] == 0)
		size--;
	return size + 8;
}

static void stand_on_a_stack(uint64_t *registers)
{
	if (rnd() % 2)
		registers[RSP] = (uint64_t)scratch + sizeof scratch / 2;
}

static void jump_to(void *to)
{
	uint64_t registers[REGISTERS];
	craft_registers(registers);
	stand_on_a_stack(registers);
	jump_with(registers, (uint64_t)to);
}

void attack_jump(void)
{
	uint64_t of_stub = code_length(CODE, 4096), of_trap = code_length(TRAP_CODE, TRAP_CODE_SIZE);
	while (time_left()) {
		uint64_t to = rnd() % 3 ? TRAP_CODE + rnd() % of_trap : CODE + rnd() % of_stub;
		if (rnd() % 16 == 0)
			to = crafted();
		attempt(jump_to, (void *)to, 15);
	}
}

static void craft_call(uint64_t *registers)
{
	craft_registers(registers);
	stand_on_a_stack(registers);
	registers[RAX] = rnd() % 1100;
	if (rnd() % 8 == 0)
		registers[RAX] |= 0x40000000;
	if (rnd() % 32 == 0)
		registers[RAX] = rnd();
}

static void call_from(void *site)
{
	uint64_t registers[REGISTERS];
	craft_call(registers);
	jump_with(registers, (uint64_t)site);
}

void attack_sites(void)
{
	while (time_left())
		attempt(call_from, (void *)some_site(), 15);
}

void attack_numbers(void)
{
	static const uint64_t vsyscall[] = { 0xffffffffff600000, 0xffffffffff600400, 0xffffffffff600800 };
	while (time_left()) {
		void *ways[] = { own_syscall, own_syscall, own_syscall, own_int80, own_sysenter, own_far,
				 (void *)vsyscall[rnd() % 3] };
		attempt(call_from, ways[rnd() % 7], 15);
	}
}

static void set_bases(void *unused)
{
	for (int i = 0; i < 40; i++) {
		uint64_t base = crafted() & (rnd() % 8 ? 0x7fffffffffff : ~0ul);
		switch (rnd() % 6) {
		case 0: asm volatile("wrfsbase %0" ::"r"(base)); break;
		case 1: asm volatile("wrgsbase %0" ::"r"(base)); break;
		case 2: raw(SYS_arch_prctl, 0x1002, base, 0, 0, 0, 0); break;
		case 3: raw(SYS_arch_prctl, 0x1001, base, 0, 0, 0, 0); break;
		case 4: asm volatile("mov %0, %%gs" ::"r"((int)(rnd() % 16) * 8 + 3)); break;
		default: asm volatile("mov %0, %%fs" ::"r"((int)(rnd() % 16) * 8 + 3)); break;
		}
		raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
		raw(SYS_read, -1, base, 8, 0, 0, 0);
	}
	raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}

void attack_bases(void)
{
	attempts(set_bases, NULL, 100);
}
