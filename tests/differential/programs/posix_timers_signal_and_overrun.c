#include "check.h"

static volatile int value, code, overrun, fired;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	value = info->si_value.sival_int;
	code = info->si_code;
	overrun = info->si_overrun;
	fired++;
}

static void notified(union sigval argument)
{
	value = argument.sival_int;
	fired++;
}

int main(void)
{
	timer_t timer, second;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 42 };
	struct itimerspec spec = { { 0, 0 }, { 0, 10000000 } }, old;
	on_info(SIGRTMIN + 1, handler, 0);
	on_info(SIGALRM, handler, 0);
	TELL(timer_create(CLOCK_MONOTONIC, &event, &timer));
	TELL(timer_gettime(timer, &old));
	printf("%ld %ld\n", old.it_value.tv_sec, old.it_value.tv_nsec);
	TELL(timer_settime(timer, 0, &spec, &old));
	while (fired < 1)
		pause_ms(1);
	printf("value %d code %d overrun %d\n", value, code, overrun);
	// Expirations that find the signal pending are counted.
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	spec = (struct itimerspec){ { 0, 5000000 }, { 0, 5000000 } };
	TELL(timer_settime(timer, 0, &spec, NULL));
	pause_ms(60);
	TELL(timer_settime(timer, 0, &(struct itimerspec){ { 0, 0 }, { 0, 0 } }, NULL));
	siginfo_t info;
	int got = sigtimedwait(&set, &info, &(struct timespec){ 0, 0 });
	// Which of the two it is differs between versions of Linux, that it is one of them does not.
	SHOW(got == SIGRTMIN + 1 || got == -1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	TELL(timer_create(CLOCK_REALTIME, NULL, &second));
	fired = 0;
	spec = (struct itimerspec){ { 0, 0 }, { 1, 0 } };
	TELL(timer_settime(second, TIMER_ABSTIME, &spec, NULL));
	while (fired < 1)
		pause_ms(1);
	printf("code %d default-value %d\n", code, value == (int)(long)second);
	event = (struct sigevent){ .sigev_notify = SIGEV_THREAD, .sigev_notify_function = notified, .sigev_value.sival_int = 7 };
	TELL(timer_create(CLOCK_MONOTONIC, &event, &second));
	fired = 0;
	spec = (struct itimerspec){ { 0, 0 }, { 0, 1000000 } };
	TELL(timer_settime(second, 0, &spec, NULL));
	while (fired < 1)
		pause_ms(1);
	printf("value %d\n", value);
	event.sigev_notify = 77;
	TELL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &second));
	event = (struct sigevent){ .sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99 };
	TELL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &second));
	TELL(syscall(SYS_timer_create, 77, NULL, &second));
	TELL(syscall(SYS_timer_settime, 1234, 0, &spec, NULL));
	TELL(syscall(SYS_timer_delete, 1234));
	TELL(timer_delete(timer));
	TELL(timer_delete(timer));
	return 0;
}
