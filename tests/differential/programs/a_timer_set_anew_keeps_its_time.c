// A timer is set anew at the moment when it expires: whether or not the old setting still expires, the new one stays.
#include "check.h"

static void nothing(int signal)
{
	(void)signal;
}

static void spin_us(long microseconds)
{
	struct timespec begin, now;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 < microseconds);
}

int main(void)
{
	int interval = 0, posix = 0, tries = 0;
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	on(SIGALRM, nothing, SA_RESTART);
	on(SIGUSR1, nothing, SA_RESTART);
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
	for (long end = now_ms() + 800; now_ms() < end; tries++) {
		struct itimerval now = { .it_value = { 0, 60 } }, later = { .it_value = { 100, 0 } }, seen;
		setitimer(ITIMER_REAL, &now, NULL);
		spin_us(tries % 120);
		setitimer(ITIMER_REAL, &later, NULL);
		spin_us(30);
		getitimer(ITIMER_REAL, &seen);
		interval += seen.it_value.tv_sec < 90;

		struct itimerspec soon = { .it_value = { 0, 60000 } }, far = { .it_value = { 100, 0 } }, left;
		timer_settime(timer, 0, &soon, NULL);
		spin_us(tries % 120);
		timer_settime(timer, 0, &far, NULL);
		spin_us(30);
		timer_gettime(timer, &left);
		posix += left.it_value.tv_sec < 90;
	}
	SHOW(tries > 10);
	printf("taken away: %d of ITIMER_REAL, %d of timer_create\n", interval, posix);
	return 0;
}
