#include "check.h"

int main(void)
{
	int is = -1;
	TELL(prctl(PR_SET_CHILD_SUBREAPER, 1));
	TELL(prctl(PR_GET_CHILD_SUBREAPER, &is));
	printf("is %d\n", is);
	int gate[2];
	MUST(pipe(gate));
	pid_t me = getpid();
	pid_t child = fork();
	if (!child) {
		prctl(PR_GET_CHILD_SUBREAPER, &is);
		printf("child is %d\n", is);
		if (!fork()) {
			char byte;
			close(gate[1]);
			read(gate[0], &byte, 1);
			SHOW(getppid() == me);
			_exit(17);
		}
		_exit(3);
	}
	reap(child);
	close(gate[1]);
	reap(-1);
	TELL(wait(NULL));
	return 0;
}
