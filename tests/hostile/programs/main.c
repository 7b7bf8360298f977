// Runs one attack: attack NAME SEED SECONDS.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "hostile.h"

char scratch[1 << 16] __attribute__((aligned(4096)));
static uint64_t state;
static double end;
// Of its own, so that attacks at the same time do not end each other's processes.
static unsigned user;

uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

bool time_left(void)
{
	return now() < end;
}

void broken(const char *what, uint64_t how)
{
	printf("broken: %s %#lx\n", what, how);
	fflush(stdout);
	_exit(9);
}

uint64_t some_slot(void)
{
	return SLOTS + SLOT * (rnd() % 8 ? rnd() % 4 : rnd() % 64);
}

uint64_t crafted(void)
{
	switch (rnd() % 16) {
	case 0: return 0;
	case 1: return rnd() % 64;
	case 2: return some_slot() + rnd() % SLOT / 8 * 8;
	case 3: return some_slot() + rnd() % 128 * 4;
	case 4: return some_slot() + SLOT;
	case 5: return some_slot();
	case 6: return ORDERS + rnd() % 512 * 8;
	case 7: return CODE + rnd() % CODE_SIZE;
	case 8: return TRAP_CODE + rnd() % TRAP_CODE_SIZE;
	case 9: return (uint64_t)scratch + rnd() % sizeof scratch / 64 * 64;
	case 10: return (uint64_t)scratch + rnd() % sizeof scratch;
	case 11: return APPLICATION_END - rnd() % 16;
	case 12: return -(rnd() % 4096);
	case 13: return rnd() & 0xffffffff;
	case 14: return rnd() % 4096;
	default: return rnd();
	}
}

void craft_registers(uint64_t *registers)
{
	for (int i = 0; i < REGISTERS; i++)
		registers[i] = crafted();
}

static void kill_all_of_the_user(void)
{
	if (fork() == 0) {
		if (setresuid(user, user, user) == 0)
			kill(-1, SIGKILL);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
}

int outcome(void (*what)(void *), void *argument, int milliseconds)
{
	uint64_t seed = rnd() | 1;
	pid_t child = fork();
	if (child < 0) {
		kill_all_of_the_user();
		return -1;
	}
	if (child == 0) {
		state = seed;
		struct rlimit none = { 0, 0 }, memory = { 1 << 30, 1 << 30 }, file = { 1 << 20, 1 << 20 };
		setrlimit(RLIMIT_CORE, &none);
		setrlimit(RLIMIT_AS, &memory);
		setrlimit(RLIMIT_FSIZE, &file);
		if (chdir("/tmp") || setresgid(user, user, user) || setresuid(user, user, user))
			_exit(99);
		int nothing = open("/dev/null", O_RDWR);
		dup2(nothing, 0);
		what(argument);
		_exit(0);
	}
	int status;
	double limit = now() + milliseconds * 1e-3;
	for (int pause = 20;; pause = pause < 1000 ? pause * 2 : 1000) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (now() > limit)
			break;
		usleep(pause);
	}
	kill(child, SIGKILL);
	limit = now() + 40;
	while (waitpid(child, &status, WNOHANG) != child) {
		if (now() > limit)
			broken("a killed process does not end", child);
		usleep(1000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void attempt(void (*what)(void *), void *argument, int milliseconds)
{
	if (outcome(what, argument, milliseconds) == 9)
		exit(9);
}

void attempts(void (*what)(void *), void *argument, int milliseconds)
{
	while (time_left())
		attempt(what, argument, milliseconds);
}

static const struct {
	const char *name;
	void (*run)(void);
} attacks[] = {
	{ "jump", attack_jump }, { "sites", attack_sites }, { "numbers", attack_numbers }, { "bases", attack_bases },
	{ "mailbox", attack_mailbox }, { "frames", attack_frames }, { "forge", attack_forge }, { "futex", attack_futex },
	{ "question", attack_question }, { "sigreturn", attack_sigreturn }, { "blocked", attack_blocked },
	{ "mapper", attack_mapper }, { "exhaust", attack_exhaust }, { "leak", attack_leak }, { "prize", attack_prize },
};

int main(int count, char **arguments)
{
	if (count == 2 && strcmp(arguments[1], "secret") == 0) {
		void keep_secret(void);
		keep_secret();
		return 0;
	}
	if (count == 2 && strcmp(arguments[1], "spy") == 0) {
		void spy(void);
		spy();
		return 0;
	}
	if (count != 4)
		return 2;
	state = strtoull(arguments[2], NULL, 0) * 2 + 1;
	end = now() + atof(arguments[3]);
	for (unsigned i = 0; i < sizeof attacks / sizeof *attacks; i++) {
		if (strcmp(arguments[1], attacks[i].name) == 0) {
			user = 1000 + i;
			attacks[i].run();
			kill_all_of_the_user();
			puts("ended");
			return 0;
		}
	}
	return 2;
}
