/* A till's disk: LD_PRELOAD this and every fsync and fdatasync sleeps first, then does the real thing.
 * SLOW_SYNC_US is the sleep in microseconds (default 2000).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void sleep_first(void)
{
    const char *asked = getenv("SLOW_SYNC_US");
    long micros = asked ? atol(asked) : 2000;
    struct timespec pause = {micros / 1000000, (micros % 1000000) * 1000};
    nanosleep(&pause, NULL);
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    sleep_first();
    return real(fd);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    sleep_first();
    return real(fd);
}
