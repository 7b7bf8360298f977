// Frames for the host's rt_sigreturn that no signal has made.
#define _GNU_SOURCE
#include <string.h>
#include "hostile.h"

// A frame with these of the registers at `memory`; what follows the return address.
volatile uint64_t *forged_frame(uint64_t *memory, uint64_t rip, uint64_t rsp)
{
	// uc_flags, uc_link, uc_stack; sigcontext from 5; uc_sigmask at 37.
	memset(memory, 0, 8 * 64);
	memory[5 + 15] = rsp;
	memory[5 + 16] = rip;
	memory[5 + 17] = 0x202;
	memory[5 + 18] = 0x002b000000000033;
	return memory;
}

static uint64_t return_site(void)
{
	uint64_t site = find("\xb8\x0f\x00\x00\x00\x0f\x05", 7);
	if (!site)
		broken("rt_sigreturn is not found", 0);
	return site;
}

static void forge(void *unused)
{
	static const uint16_t selectors[] = { 0x33, 0x33, 0x2b, 0x23, 0, 3, 0x10, 0x18, 0x63, 0x7b };
	uint64_t registers[REGISTERS];
	char *places[] = { own_syscall, own_loop, own_int80, own_sysenter, own_far };
	uint64_t *frame = (uint64_t *)(rnd() % 2 ? (uint64_t)scratch + 4096 : SLOTS + STACK + 512 * (rnd() % 8));
	for (int i = 0; i < 256; i++)
		frame[i] = crafted();
	if (rnd() % 4)
		forged_frame(frame, rnd() % 4 ? (uint64_t)places[rnd() % 5] : crafted(), (uint64_t)scratch + sizeof scratch / 2);
	frame[0] = rnd() % 8;
	if (rnd() % 2)
		frame[5 + 17] = rnd();
	uint16_t *segments = (uint16_t *)&frame[5 + 18];
	for (int i = 0; i < 4; i++)
		if (rnd() % 2)
			segments[i] = rnd() % 8 ? selectors[rnd() % 10] : rnd();
	if (rnd() % 2) {
		// A vector state with a size that is not its own.
		uint32_t *state = (uint32_t *)(scratch + 8192 + rnd() % 2 * 64);
		for (int i = 0; i < 1024; i++)
			state[i] = rnd() % 2 ? 0 : crafted();
		state[464 / 4] = 0x46505853;
		state[464 / 4 + 1] = rnd() % 2 ? 2696 + rnd() % 4096 : crafted();
		*(uint64_t *)&state[464 / 4 + 2] = rnd() % 0x400;
		state[464 / 4 + 4] = rnd() % 2 ? 2688 + rnd() % 64 : crafted();
		*(uint64_t *)&state[512 / 4] = rnd() % 0x400;
		frame[5 + 23] = rnd() % 2 ? (uint64_t)state : crafted();
	}
	frame[37] = rnd() % 2 ? 0 : rnd() % 2 ? ~0ul : rnd();
	// uc_stack: where the host puts further frames.
	frame[2] = crafted();
	frame[3] = rnd() % 4;
	frame[4] = rnd() % 2 ? SLOT : crafted();
	craft_registers(registers);
	registers[RSP] = (uint64_t)frame;
	jump_with(registers, return_site());
}

void attack_sigreturn(void)
{
	attempts(forge, NULL, 12);
}

// All signals blocked on the host: the thread cannot be told to stop.
static void be_deaf(void *unused)
{
	uint64_t registers[REGISTERS] = { 0 };
	uint64_t *frame = (uint64_t *)(scratch + 4096);
	forged_frame(frame, (uint64_t)own_loop, (uint64_t)scratch + sizeof scratch / 2);
	frame[37] = ~0ul;
	// uc_stack: that of the slot.
	frame[2] = SLOTS + STACK;
	frame[4] = SLOT - STACK;
	registers[RSP] = (uint64_t)frame;
	jump_with(registers, return_site());
}

void attack_blocked(void)
{
	attempt(be_deaf, NULL, 100);
}
