#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static volatile sig_atomic_t caught;

static void handler(int signal)
{
	caught = signal;
}

static void show(const char *what, int fd)
{
	char text[128];
	struct pollfd polled = { fd, POLLIN, 0 };
	ssize_t count = poll(&polled, 1, 100) > 0 ? read(fd, text, sizeof text) : -2;
	printf("%s (%zd): ", what, count);
	for (ssize_t i = 0; i < count; i++)
		if (text[i] < 32 || text[i] == 127)
			printf("\\x%02x", text[i]);
		else
			putchar(text[i]);
	printf("\n");
}

int main(void)
{
	struct winsize size = { 24, 80, 0, 0 };
	struct termios termios;
	int master = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	MUST(grantpt(master));
	MUST(unlockpt(master));
	int slave = MUST(open(ptsname(master), O_RDWR | O_NOCTTY));
	SHOW(!strncmp(ptsname(master), "/dev/pts/", 9));
	TELL(isatty(slave));
	TELL(isatty(master));
	TELL(isatty(0));
	TELL(tcgetattr(slave, &termios));
	printf("%x %x %x %x\n", termios.c_iflag, termios.c_oflag, termios.c_cflag & (CSIZE | CREAD), termios.c_lflag);
	write(master, "hello\n", 6);
	show("slave", slave);
	show("echo", master);
	write(master, "helk\177\177lo\025new\n", 12);
	show("edited", slave);
	show("echo", master);
	write(master, "part", 4);
	show("no line yet", slave);
	write(master, "\004", 1);
	show("end of file flushes", slave);
	write(master, "\004", 1);
	show("end of file", slave);
	show("echo", master);
	write(slave, "a\nb", 3);
	show("output", master);
	TELL(ioctl(slave, TIOCSWINSZ, &size));
	size.ws_row = 0;
	TELL(ioctl(master, TIOCGWINSZ, &size));
	printf("%d %d\n", size.ws_row, size.ws_col);
	cfmakeraw(&termios);
	TELL(tcsetattr(slave, TCSANOW, &termios));
	write(master, "raw\003\r", 5);
	show("raw", slave);
	show("no echo", master);
	TELL(tcgetpgrp(slave));
	IN_CHILD({
		setsid();
		TELL(ioctl(slave, TIOCSCTTY, 0));
		SHOW(tcgetpgrp(slave) == getpid());
		SHOW(tcgetsid(slave) == getpid());
		termios.c_lflag |= ISIG;
		tcsetattr(slave, TCSANOW, &termios);
		on(SIGINT, handler, 0);
		on(SIGQUIT, handler, 0);
		on(SIGWINCH, handler, 0);
		on(SIGHUP, handler, 0);
		write(master, "\003", 1);
		pause_ms(10);
		printf("caught %d\n", caught);
		write(master, "\034", 1);
		pause_ms(10);
		printf("caught %d\n", caught);
		size.ws_row = 50;
		ioctl(master, TIOCSWINSZ, &size);
		pause_ms(10);
		printf("caught %d\n", caught);
		int tty = open("/dev/tty", O_RDWR);
		SHOW(tty >= 0);
		pid_t background = fork();
		if (!background) {
			setpgid(0, 0);
			signal(SIGTTIN, SIG_DFL);
			char byte;
			read(tty, &byte, 1);
			_exit(0);
		}
		int status;
		waitpid(background, &status, WUNTRACED);
		print_status(status);
		kill(background, SIGKILL);
		waitpid(background, &status, 0);
	});
	close(slave);
	show("hung up", master);
	return 0;
}
