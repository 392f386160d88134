/* The clock of the wall is as far off as the file CLOCK_SHIFT says: seconds, a signed number of 64 bits. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift;

__attribute__((constructor)) static void look(void)
{
    const char *path = getenv("CLOCK_SHIFT");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED)
        shift = page;
    close(file);
}

int clock_gettime(clockid_t id, struct timespec *time)
{
    int failed = syscall(SYS_clock_gettime, id, time);
    if (!failed && shift && id == CLOCK_REALTIME)
        time->tv_sec += *shift;
    return failed;
}
