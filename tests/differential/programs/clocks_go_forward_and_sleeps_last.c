#include "check.h"

int main(void)
{
	clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
			       CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI };
	struct timespec a, b, r;
	for (size_t i = 0; i < COUNT(clocks); i++) {
		// Once by the vDSO, once by the call.
		int bad = 0;
		for (int j = 0; j < 200; j++) {
			bad |= clock_gettime(clocks[i], &a);
			bad |= syscall(SYS_clock_gettime, clocks[i], &b);
			bad |= b.tv_sec < a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec < a.tv_nsec);
		}
		printf("%d: bad %d ", (int)clocks[i], bad);
		TELL(syscall(SYS_clock_getres, clocks[i], &r));
		printf("%ld %d\n", r.tv_sec, r.tv_nsec == 1 || r.tv_nsec >= 1000000);
	}
	TELL(syscall(SYS_clock_gettime, 77, &a));
	TELL(syscall(SYS_clock_gettime, 0, 8));
	TELL(clock_settime(CLOCK_MONOTONIC, &a));
	TELL(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &a, NULL));
	a = (struct timespec){ 0, 1000000000 };
	TELL(syscall(SYS_nanosleep, &a, NULL));
	a.tv_nsec = -1;
	TELL(syscall(SYS_nanosleep, &a, NULL));
	TELL(syscall(SYS_nanosleep, 8, NULL));
	long before = now_ms();
	a = (struct timespec){ 0, 30000000 };
	TELL(nanosleep(&a, NULL));
	SHOW(now_ms() - before >= 30);
	clock_gettime(CLOCK_MONOTONIC, &a);
	a.tv_nsec += 30000000;
	if (a.tv_nsec >= 1000000000)
		a.tv_sec++, a.tv_nsec -= 1000000000;
	before = now_ms();
	TELL(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &a, NULL));
	SHOW(now_ms() - before >= 29);
	a.tv_sec = 1;
	TELL(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &a, NULL));
	struct timeval tv;
	time_t seconds = time(NULL);
	gettimeofday(&tv, NULL);
	SHOW(tv.tv_sec - seconds >= 0 && tv.tv_sec - seconds <= 2);
	// Processor time passes by work, not by sleep.
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	pause_ms(50);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	SHOW((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 40);
	before = now_ms();
	for (volatile long i = 0; i < 200000000 && now_ms() - before < 3000; i++)
		if (i % 1000000 == 0) {
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
			if ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 > 100)
				break;
		}
	SHOW((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 > 100);
	return 0;
}
