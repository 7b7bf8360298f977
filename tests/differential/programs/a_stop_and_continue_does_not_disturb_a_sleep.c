#include "check.h"
#include <poll.h>
#include <sys/epoll.h>

int main(void)
{
	int status;
	for (int which = 0; which < 4; which++) {
		pid_t child = fork();
		if (!child) {
			struct timespec time = { 0, 150000000 };
			struct epoll_event event;
			long before = now_ms(), result = 0;
			if (which == 0)
				result = nanosleep(&time, NULL);
			else if (which == 1)
				result = poll(NULL, 0, 150);
			else if (which == 2)
				result = select(0, NULL, NULL, NULL, &(struct timeval){ 0, 150000 });
			else
				result = epoll_wait(epoll_create1(0), &event, 1, 150);
			printf("%d: %s slept %d\n", which, NAME(result), now_ms() - before >= 149);
			_exit(0);
		}
		pause_ms(30);
		kill(child, SIGSTOP);
		waitpid(child, &status, WUNTRACED);
		kill(child, SIGCONT);
		reap(child);
	}
	return 0;
}
