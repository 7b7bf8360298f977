#include "check.h"
#include <pthread.h>
#include <sys/time.h>

static volatile int fired, code, value;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	code = info->si_code;
	value = info->si_value.sival_int;
	fired++;
}

static double spent(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void burn_until(int count)
{
	while (fired < count)
		for (volatile int i = 0; i < 1000; i++)
			;
}

static void try(const char *name, clockid_t clock)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_int = 9 };
	struct itimerspec spec = { { 0, 10000000 }, { 0, 20000000 } }, left;
	puts(name);
	TRY(timer_create(clock, &event, &timer));
	fired = 0;
	double begin = spent(clock);
	TRY(timer_settime(timer, 0, &spec, NULL));
	// Sleep does not count.
	pause_ms(50);
	printf("after sleep %d\n", fired);
	timer_gettime(timer, &left);
	SHOW(left.it_value.tv_nsec > 1000000 && left.it_value.tv_nsec <= 20000000 && left.it_interval.tv_nsec == 10000000);
	burn_until(1);
	SHOW(spent(clock) - begin >= 19);
	burn_until(3);
	SHOW(spent(clock) - begin >= 38);
	printf("code %d value %d\n", code, value);
	spec = (struct itimerspec){ { 0, 0 }, { 0, 0 } };
	TRY(timer_settime(timer, 0, &spec, &left));
	// Absolute, and passed already.
	fired = 0;
	spec.it_value.tv_nsec = 1;
	TRY(timer_settime(timer, TIMER_ABSTIME, &spec, NULL));
	burn_until(1);
	TRY(timer_gettime(timer, &left));
	printf("left %ld\n", left.it_value.tv_sec + left.it_value.tv_nsec);
	TRY(timer_delete(timer));
}

static void *work(void *argument)
{
	clockid_t clock;
	pthread_getcpuclockid(pthread_self(), &clock);
	try("another thread's own", clock);
	return argument;
}

int main(void)
{
	clockid_t clock;
	pthread_t thread;
	timer_t timer;
	on_info(SIGRTMIN + 3, handler, 0);
	try("process", CLOCK_PROCESS_CPUTIME_ID);
	try("thread", CLOCK_THREAD_CPUTIME_ID);
	clock_getcpuclockid(getpid(), &clock);
	try("process by number", clock);
	pthread_create(&thread, NULL, work, NULL);
	pthread_join(thread, NULL);
	// No such process; a thread of another.
	TELL(timer_create((~(1 << 20) << 3) | 2, NULL, &timer));
	IN_CHILD(TELL(timer_create((~getppid() << 3) | 6, NULL, &timer)));
	return 0;
}
