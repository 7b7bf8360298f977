#include "check.h"

static volatile sig_atomic_t count;

static void handler(int signal)
{
	(void)signal;
	count++;
}

int main(void)
{
	int kinds[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF }, signals[] = { SIGALRM, SIGVTALRM, SIGPROF };
	struct itimerval value = { { 0, 10000 }, { 0, 20000 } }, old;
	for (int i = 0; i < 3; i++) {
		on(signals[i], handler, SA_RESTART);
		count = 0;
		TELL(setitimer(kinds[i], &value, &old));
		printf("%ld %ld\n", (long)old.it_value.tv_sec, (long)old.it_value.tv_usec);
		while (count < 3)
			if (i == 0)
				pause_ms(1);
		TELL(getitimer(kinds[i], &old));
		SHOW(old.it_interval.tv_usec == 10000 && old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 20000);
		TELL(setitimer(kinds[i], NULL, NULL));
		TELL(setitimer(kinds[i], &(struct itimerval){ 0 }, NULL));
	}
	TELL(setitimer(9, &value, NULL));
	value.it_value.tv_usec = 1000000;
	TELL(setitimer(ITIMER_REAL, &value, NULL));
	TELL(alarm(100));
	TELL(alarm(0));
	TELL(alarm(0));
	// Not inherited by a child, kept by exec.
	alarm(50);
	IN_CHILD(TELL(alarm(0)));
	TELL(alarm(0));
	return 0;
}
