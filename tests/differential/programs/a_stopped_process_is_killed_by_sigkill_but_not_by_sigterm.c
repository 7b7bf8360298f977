#include "check.h"

int main(void)
{
	int status;
	for (int i = 0; i < 2; i++) {
		pid_t child = fork();
		if (!child)
			for (;;)
				pause();
		kill(child, SIGSTOP);
		MUST(waitpid(child, &status, WUNTRACED));
		print_status(status);
		kill(child, i ? SIGKILL : SIGTERM);
		if (!i) {
			pause_ms(50);
			TELL(waitpid(child, &status, WNOHANG));
			kill(child, SIGCONT);
		}
		reap(child);
	}
	return 0;
}
