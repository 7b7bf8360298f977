#include "check.h"

int main(void)
{
	// A group of nobody else's.
	setpgid(0, 0);
	TELL(setpriority(PRIO_PROCESS, 0, 10));
	IN_CHILD({
		TELL(getpriority(PRIO_PROCESS, 0));
		MUST(setresuid(1000, 1000, 1000));
		TELL(setpriority(PRIO_PROCESS, 0, 12));
		TELL(setpriority(PRIO_PROCESS, 0, 11));
		TELL(getpriority(PRIO_PROCESS, 0));
		IN_CHILD(TELL(getpriority(PRIO_PROCESS, 0)););
		TELL(setpriority(PRIO_PROCESS, getppid(), 19));
	});
	// Whom it may not be done to does not keep it from the others.
	IN_CHILD({
		MUST(setresuid(1000, 1000, 1000));
		TELL(setpriority(PRIO_PGRP, 0, 15));
		TELL(getpriority(PRIO_PROCESS, 0));
		TELL(getpriority(PRIO_PROCESS, getppid()));
		TELL(getpriority(PRIO_PGRP, 0));
	});
	TELL(setpriority(PRIO_PROCESS, 0, -3));
	TELL(getpriority(PRIO_PROCESS, 0));
	return 0;
}
