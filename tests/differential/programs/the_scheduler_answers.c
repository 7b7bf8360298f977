#include "check.h"

int main(void)
{
	cpu_set_t set;
	struct sched_param parameter = { 0 };
	struct timespec interval;
	TELL(sched_yield());
	TELL(sched_getscheduler(0));
	TELL(sched_get_priority_max(SCHED_FIFO));
	TELL(sched_get_priority_min(SCHED_FIFO));
	TELL(sched_get_priority_max(SCHED_OTHER));
	TELL(sched_get_priority_max(99));
	TELL(sched_getparam(0, &parameter));
	TELL(sched_getscheduler(1 << 21));
	TELL(sched_setscheduler(0, 99, &parameter));
	TELL(sched_setscheduler(0, SCHED_BATCH, &parameter));
	TELL(sched_getscheduler(0));
	TELL(sched_setscheduler(0, SCHED_OTHER, &parameter));
	parameter.sched_priority = 5;
	TELL(sched_setscheduler(0, SCHED_OTHER, &parameter));
	TELL(sched_rr_get_interval(0, &interval));
	CPU_ZERO(&set);
	TRY(sched_getaffinity(0, sizeof set, &set));
	SHOW(CPU_COUNT(&set) == sysconf(_SC_NPROCESSORS_ONLN));
	SHOW(CPU_ISSET(sched_getcpu(), &set));
	TELL(syscall(SYS_sched_getaffinity, 0, 1, &set));
	TELL(syscall(SYS_sched_getaffinity, 0, 12, &set));
	cpu_set_t one, none;
	CPU_ZERO(&one);
	CPU_ZERO(&none);
	CPU_SET(0, &one);
	TELL(sched_setaffinity(0, sizeof one, &one));
	sched_getaffinity(0, sizeof set, &set);
	printf("%d\n", CPU_COUNT(&set));
	IN_CHILD({
		sched_getaffinity(0, sizeof set, &set);
		printf("%d\n", CPU_COUNT(&set));
	});
	TELL(sched_setaffinity(0, sizeof none, &none));
	TELL(getpriority(PRIO_PROCESS, 0));
	TELL(setpriority(PRIO_PROCESS, 0, 5));
	TELL(getpriority(PRIO_PROCESS, 0));
	TELL(nice(3));
	TELL(setpriority(PRIO_PROCESS, 0, 100));
	TELL(getpriority(PRIO_PROCESS, 0));
	TELL(getpriority(9, 0));
	TELL(getpriority(PRIO_PROCESS, 1 << 21));
	IN_CHILD({
		TELL(getpriority(PRIO_PROCESS, 0));
		setresuid(1000, 1000, 1000);
		TELL(setpriority(PRIO_PROCESS, 0, 0));
	});
	return 0;
}
