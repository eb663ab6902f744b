/* The raw limit: append one record, fdatasync, acknowledge.
 *
 * usage: append FILE CLIENTS SECONDS RECORD_BYTES
 *
 * With one client the caller writes and syncs itself. With more, each client is a thread that hands its record to one
 * writer and waits until it is on disk; the writer takes whatever has gathered, writes it with one call and syncs once
 * (group commit without a timer: the next group gathers while the current one syncs). Prints one JSON object:
 * records on disk, seconds taken, p50 and p99 of an append in milliseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS 1024
#define MAX_SAMPLES 400000

static int fd;
static size_t record_bytes;
static double stop_at;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static pthread_cond_t committed = PTHREAD_COND_INITIALIZER;
static char *gathering;
static size_t gathered;        /* records in `gathering` */
static unsigned long group;    /* the group that is gathering now */
static unsigned long on_disk;  /* groups below this one are durable */
static int clients_left;

struct client {
    pthread_t thread;
    double *samples;
    size_t count;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_and_sync(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t done = write(fd, bytes, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            perror("write");
            exit(1);
        }
        bytes += done;
        length -= (size_t)done;
    }
    if (fdatasync(fd) != 0) {
        perror("fdatasync");
        exit(1);
    }
}

static void keep(struct client *self, double began)
{
    if (self->count < MAX_SAMPLES)
        self->samples[self->count] = now() - began;
    self->count++;
}

static void *append_alone(void *argument)
{
    struct client *self = argument;
    char *record = malloc(record_bytes);
    memset(record, 'a', record_bytes);
    for (double began = now(); began < stop_at; began = now()) {
        write_and_sync(record, record_bytes);
        keep(self, began);
    }
    free(record);
    return NULL;
}

static void *append_in_groups(void *argument)
{
    struct client *self = argument;
    for (double began = now(); began < stop_at; began = now()) {
        pthread_mutex_lock(&lock);
        unsigned long mine = group;
        memset(gathering + gathered * record_bytes, 'a', record_bytes);
        if (gathered++ == 0)
            pthread_cond_signal(&arrived);
        while (on_disk <= mine)
            pthread_cond_wait(&committed, &lock);
        pthread_mutex_unlock(&lock);
        keep(self, began);
    }
    pthread_mutex_lock(&lock);
    clients_left--;
    pthread_cond_signal(&arrived);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void write_groups(char *spare)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (gathered == 0 && clients_left > 0)
            pthread_cond_wait(&arrived, &lock);
        if (gathered == 0)
            break;
        char *full = gathering;
        size_t length = gathered * record_bytes;
        gathering = spare;
        gathered = 0;
        unsigned long mine = group++;
        pthread_mutex_unlock(&lock);
        write_and_sync(full, length);
        spare = full;
        pthread_mutex_lock(&lock);
        on_disk = mine + 1;
        pthread_cond_broadcast(&committed);
    }
    pthread_mutex_unlock(&lock);
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void report(struct client *clients, int count, double seconds)
{
    size_t total = 0, kept = 0;
    for (int i = 0; i < count; i++) {
        total += clients[i].count;
        kept += clients[i].count < MAX_SAMPLES ? clients[i].count : MAX_SAMPLES;
    }
    double *all = malloc((kept + 1) * sizeof *all);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        size_t own = clients[i].count < MAX_SAMPLES ? clients[i].count : MAX_SAMPLES;
        memcpy(all + at, clients[i].samples, own * sizeof *all);
        at += own;
    }
    qsort(all, kept, sizeof *all, ascending);
    double p50 = kept ? all[kept / 2] : 0, p99 = kept ? all[kept * 99 / 100] : 0;
    printf("{\"count\": %zu, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n",
           total, seconds, p50 * 1e3, p99 * 1e3);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: append FILE CLIENTS SECONDS RECORD_BYTES\n");
        return 2;
    }
    int count = atoi(argv[2]);
    record_bytes = (size_t)atol(argv[4]);
    if (count < 1 || count > MAX_CLIENTS || record_bytes < 1)
        return 2;
    fd = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
    if (fd < 0) {
        perror(argv[1]);
        return 1;
    }
    struct client *clients = calloc((size_t)count, sizeof *clients);
    gathering = malloc((size_t)count * record_bytes);
    char *spare = malloc((size_t)count * record_bytes);
    clients_left = count;
    double began = now();
    stop_at = began + atof(argv[3]);
    for (int i = 0; i < count; i++) {
        clients[i].samples = malloc(MAX_SAMPLES * sizeof(double));
        pthread_create(&clients[i].thread, NULL, count == 1 ? append_alone : append_in_groups, &clients[i]);
    }
    if (count > 1)
        write_groups(spare);
    for (int i = 0; i < count; i++)
        pthread_join(clients[i].thread, NULL);
    report(clients, count, now() - began);
    return 0;
}
