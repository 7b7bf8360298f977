// The terminal settings of System V, and settings that cannot be changed.
#include "check.h"
#include <asm/termbits.h>
#include <poll.h>
#include <sys/ioctl.h>

static void show(int fd)
{
	struct termio old;
	struct termios now;
	memset(&old, 0xee, sizeof old);
	TELL(ioctl(fd, TCGETA, &old));
	printf("%x %x %x %x %x", old.c_iflag, old.c_oflag, old.c_cflag, old.c_lflag, old.c_line);
	for (size_t i = 0; i < sizeof old.c_cc; i++)
		printf(" %d", old.c_cc[i]);
	MUST(ioctl(fd, TCGETS, &now));
	printf("\n%x %x %x %x", now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag);
	for (int i = 0; i < 17; i++)
		printf(" %d", now.c_cc[i]);
	printf("\n");
}

static void show_locked(int fd)
{
	struct termios locked;
	memset(&locked, 0xee, sizeof locked);
	TELL(ioctl(fd, TIOCGLCKTRMIOS, &locked));
	printf("%x %x %x %x %d", locked.c_iflag, locked.c_oflag, locked.c_cflag, locked.c_lflag, locked.c_line);
	for (int i = 0; i < NCCS; i++)
		printf(" %d", locked.c_cc[i]);
	printf("\n");
}

int main(void)
{
	int master = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY)), number, zero = 0;
	MUST(ioctl(master, TIOCSPTLCK, &zero));
	MUST(ioctl(master, TIOCGPTN, &number));
	int slave = (int)MUST(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	SHOW(sizeof(struct termio) == 18);
	show(slave);
	show(master);

	struct termio old;
	struct termios now, locked;
	MUST(ioctl(slave, TCGETS, &now));
	now.c_iflag |= IUTF8 | IXANY;
	now.c_cc[VSTOP] = 5;
	MUST(ioctl(slave, TCSETS, &now));
	MUST(ioctl(slave, TCGETA, &old));
	old.c_iflag &= ~ICRNL;
	old.c_lflag &= ~ECHO;
	old.c_cc[VINTR] = 9;
	TELL(ioctl(slave, TCSETA, &old));
	show(slave);
	old.c_lflag |= ECHO;
	TELL(ioctl(master, TCSETAW, &old));
	show(slave);
	// TCSETAF throws away what was typed.
	char byte;
	MUST(write(master, "typed\n", 6));
	struct pollfd input = { slave, POLLIN, 0 };
	int waiting;
	TELL(poll(&input, 1, 3000));
	MUST(ioctl(slave, FIONREAD, &waiting));
	printf("waiting %d\n", waiting);
	old.c_lflag &= ~ICANON;
	old.c_cc[VMIN] = 0;
	TELL(ioctl(slave, TCSETAF, &old));
	TELL(read(slave, &byte, 1));
	TELL(ioctl(slave, TCGETA, 8));
	TELL(ioctl(slave, TCSETA, 8));
	TELL(ioctl(slave, TIOCGLCKTRMIOS, 8));
	TELL(ioctl(slave, TIOCSLCKTRMIOS, 8));

	show_locked(slave);
	memset(&locked, 0, sizeof locked);
	locked.c_lflag = ECHO | ICANON;
	locked.c_oflag = OPOST;
	locked.c_cc[VINTR] = 1;
	TELL(ioctl(slave, TIOCSLCKTRMIOS, &locked));
	show_locked(slave);
	show_locked(master);
	MUST(ioctl(slave, TCGETS, &now));
	now.c_lflag ^= ECHO | ICANON | ISIG;
	now.c_oflag ^= OPOST | ONLCR;
	now.c_cc[VINTR] = 17;
	now.c_cc[VEOF] = 18;
	TELL(ioctl(slave, TCSETS, &now));
	show(slave);
	old.c_lflag = 0;
	TELL(ioctl(slave, TCSETA, &old));
	show(slave);
	IN_CHILD({
		MUST(setuid(1000));
		show_locked(slave);
		TELL(ioctl(slave, TIOCSLCKTRMIOS, &locked));
	});
	int file = (int)MUST(open("/dev/null", O_RDWR));
	TELL(ioctl(file, TCGETA, &old));
	return 0;
}
