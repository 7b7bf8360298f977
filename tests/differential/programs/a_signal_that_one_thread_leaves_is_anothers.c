// A signal sent to the process is announced to one thread. One that blocks it before it has taken it, or that ends, leaves
// it to another.
#include "check.h"
#include <stdatomic.h>

static atomic_int taken, done;
static _Atomic pthread_t taker;

static void take(int signal)
{
	(void)signal;
	taker = pthread_self();
	taken++;
}

// The other thread must get SIGUSR2 while this handler, which blocks it, runs.
static void hold(int signal)
{
	(void)signal;
	long until = now_ms() + 5000;
	while (!taken && now_ms() < until)
		sched_yield();
}

static void *rest(void *unused)
{
	(void)unused;
	while (!done)
		pause_ms(1);
	return NULL;
}

static void *sleeper(void *unused)
{
	(void)unused;
	while (!done)
		usleep(1000000);
	return NULL;
}

static void *short_life(void *unused)
{
	return unused;
}

static void *blocks_and_lets_through(void *unused)
{
	(void)unused;
	sigset_t two, old;
	sigemptyset(&two);
	sigaddset(&two, SIGUSR2);
	while (!done) {
		pthread_sigmask(SIG_BLOCK, &two, &old);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	return NULL;
}

static void *suspends(void *unused)
{
	(void)unused;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (!done) {
		struct timespec moment = { 0, 20000 };
		ppoll(NULL, 0, &moment, &none);
	}
	return NULL;
}

static void block(int how)
{
	sigset_t two;
	sigemptyset(&two);
	sigaddset(&two, SIGUSR2);
	pthread_sigmask(how, &two, NULL);
}

// Sends again and again while another thread lets the signal through and takes that back, or comes and goes, and a third
// sleeps. Each must arrive.
static void race(const char *name, void *(*other)(void *), int again)
{
	pthread_t sleeping, thread;
	int lost = 0;
	taken = done = 0;
	pthread_create(&sleeping, NULL, sleeper, NULL);
	block(SIG_BLOCK);
	if (!again) {
		block(SIG_UNBLOCK);
		pthread_create(&thread, NULL, other, NULL);
		block(SIG_BLOCK);
	}
	long end = now_ms() + 250;
	for (int i = 0; i < 2000 && now_ms() < end && !lost; i++) {
		if (again) {
			block(SIG_UNBLOCK);
			pthread_create(&thread, NULL, other, NULL);
			block(SIG_BLOCK);
		}
		int before = taken;
		kill(getpid(), SIGUSR2);
		long until = now_ms() + 3000;
		while (taken == before && now_ms() < until)
			sched_yield();
		lost = taken == before;
		if (again)
			pthread_join(thread, NULL);
	}
	printf("%s: %s\n", name, lost ? "lost" : "all taken");
	done = 1;
	block(SIG_UNBLOCK);
	pthread_kill(sleeping, SIGUSR2);
	pthread_join(sleeping, NULL);
	if (!again)
		pthread_join(thread, NULL);
}

int main(void)
{
	struct sigaction action = { .sa_handler = hold };
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGUSR2);
	MUST(sigaction(SIGUSR1, &action, NULL));
	on(SIGUSR2, take, 0);

	// A handler blocks it: the main thread waits for its child of vfork, and cannot take anything meanwhile.
	pthread_t other;
	pthread_create(&other, NULL, rest, NULL);
	pid_t process = getpid();
	int status;
	pid_t child = vfork();
	if (!child) {
		syscall(SYS_kill, process, SIGUSR2);
		syscall(SYS_tgkill, process, process, SIGUSR1);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0));
	SHOW(taken == 1);
	SHOW(pthread_equal(taker, other));
	done = 1;
	pthread_join(other, NULL);

	race("masks", blocks_and_lets_through, 0);
	race("temporary masks", suspends, 0);
	race("ends", short_life, 1);
	return 0;
}
