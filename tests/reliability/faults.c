/* A countdown that makes the Nth write below some folders fail, for any program that writes through libc.

   Loaded with LD_PRELOAD, and asleep until textclf_faults_arm is called (through ctypes, in the process that is to
   fail). It sees what Python's audit hook cannot: the writers in Rust and C++ (safetensors, Parquet) and SQLite's.

   kinds: 0 count only; 1 SIGKILL before the operation; 2 half of it, then SIGKILL; 3 ENOSPC; 4 EIO;
          5 power loss: what was written and never brought to the disk is cut off, then SIGKILL. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, TORN, FULL, BROKEN, POWER };
enum { MOST_FOLDERS = 4, MOST_DIRTY = 4096 };

static char folders[MOST_FOLDERS][PATH_MAX];
static int folder_count = 0, kind = COUNT, lasting = 0, armed = 0, trace = -1;
static long number = 0, counted = 0, fired = 0;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { dev_t device; ino_t inode; off_t size; } dirty[MOST_DIRTY];
static int dirty_count = 0;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Folders are absolute and apart by newlines; the operations are written to `trace_to`, a line each, where it is given. */
void textclf_faults_arm(const char *where, long at, int what, int for_good, const char *trace_to) {
    folder_count = 0;
    while (*where && folder_count < MOST_FOLDERS) {
        const char *end = strchrnul(where, '\n');
        snprintf(folders[folder_count++], PATH_MAX, "%.*s", (int)(end - where), where);
        where = *end ? end + 1 : end;
    }
    trace = trace_to && *trace_to ? REAL(open)(trace_to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    number = at, kind = what, lasting = for_good, counted = 0, fired = 0, dirty_count = 0;
    armed = 1;
}

long textclf_faults_count(void) { return counted; }
long textclf_faults_fired(void) { return fired; }

static int below(const char *path) {
    for (int i = 0; i < folder_count; i++) {
        size_t length = strlen(folders[i]);
        if (!strncmp(path, folders[i], length) && (path[length] == '/' || !path[length])) return 1;
    }
    return 0;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int fd_below(int fd, char *path) { return armed && fd > 2 && path_of(fd, path) && below(path); }

static int name_below(int at, const char *name, char *path) {
    if (!armed || !name) return 0;
    if (name[0] == '/') snprintf(path, PATH_MAX, "%s", name);
    else {
        char from[PATH_MAX];
        if (at == AT_FDCWD ? !getcwd(from, sizeof from) : !path_of(at, from)) return 0;
        if (snprintf(path, PATH_MAX, "%s/%s", from, name) >= PATH_MAX) return 0;
    }
    return below(path);
}

static void note_write(int fd) {
    struct stat found;
    if (fstat(fd, &found)) return;
    for (int i = 0; i < dirty_count; i++)
        if (dirty[i].inode == found.st_ino && dirty[i].device == found.st_dev) return;
    if (dirty_count < MOST_DIRTY) {
        dirty[dirty_count].device = found.st_dev, dirty[dirty_count].inode = found.st_ino;
        dirty[dirty_count++].size = found.st_size;
    }
}

static void note_sync(int fd) {
    struct stat found;
    if (fstat(fd, &found)) return;
    for (int i = 0; i < dirty_count; i++)
        if (dirty[i].inode == found.st_ino && dirty[i].device == found.st_dev) dirty[i] = dirty[--dirty_count];
}

static int cut_off(const char *path, const struct stat *found, int type, struct FTW *ftw) {
    (void)ftw;
    for (int i = 0; type == FTW_F && i < dirty_count; i++)
        if (dirty[i].inode == found->st_ino && dirty[i].device == found->st_dev && found->st_size > dirty[i].size)
            (void)!truncate(path, dirty[i].size);
    return 0;
}

static void die(void) {
    armed = 0;
    if (kind == POWER)
        for (int i = 0; i < folder_count; i++) nftw(folders[i], cut_off, 16, FTW_PHYS);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Returns 0 to go on, 1 to do half of the operation and die, -1 to fail with errno. */
static int due(const char *operation, const char *path) {
    pthread_mutex_lock(&lock);
    long this = ++counted;
    if (trace >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", this, operation, path);
        (void)!REAL(write)(trace, line, (size_t)length);
    }
    int frees = !strcmp(operation, "unlink") || !strcmp(operation, "rmdir");
    int hit = number > 0 && kind != COUNT && this >= number && (lasting || !fired);
    if (kind == FULL && frees) hit = 0; /* a full disk lets go of files */
    if (hit) fired = this;
    pthread_mutex_unlock(&lock);
    if (!hit) return 0;
    if (kind == KILL || kind == POWER) die();
    if (kind == TORN) return 1;
    errno = kind == FULL ? ENOSPC : EIO;
    return -1;
}

#define FAILS(operation, path, done)            \
    do {                                        \
        switch (due(operation, path)) {         \
            case 1: (void)!(done); die(); break; \
            case -1: return -1;                 \
        }                                       \
    } while (0)

static int opens_to_write(int flags) { return flags & (O_CREAT | O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY; }

#define OPEN(name)                                                                      \
    int name(const char *file, int flags, ...) {                                        \
        char path[PATH_MAX];                                                            \
        va_list rest; va_start(rest, flags);                                            \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;         \
        va_end(rest);                                                                   \
        if (opens_to_write(flags) && name_below(AT_FDCWD, file, path))                  \
            FAILS("open", path, REAL(name)(file, flags, mode));                         \
        return REAL(name)(file, flags, mode);                                           \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                    \
    int name(int at, const char *file, int flags, ...) {                                \
        char path[PATH_MAX];                                                            \
        va_list rest; va_start(rest, flags);                                            \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;         \
        va_end(rest);                                                                   \
        if (opens_to_write(flags) && name_below(at, file, path))                        \
            FAILS("open", path, REAL(name)(at, file, flags, mode));                     \
        return REAL(name)(at, file, flags, mode);                                       \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    if (fd_below(fd, path)) {
        FAILS("write", path, REAL(write)(fd, data, size / 2));
        note_write(fd);
    }
    return REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (fd_below(fd, path)) {
        FAILS("write", path, count ? REAL(write)(fd, parts[0].iov_base, parts[0].iov_len / 2) : 0);
        note_write(fd);
    }
    return REAL(writev)(fd, parts, count);
}

#define PWRITE(name, offset_type)                                                       \
    ssize_t name(int fd, const void *data, size_t size, offset_type at) {               \
        char path[PATH_MAX];                                                            \
        if (fd_below(fd, path)) {                                                       \
            FAILS("write", path, REAL(name)(fd, data, size / 2, at));                   \
            note_write(fd);                                                             \
        }                                                                               \
        return REAL(name)(fd, data, size, at);                                          \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define ON_FD(name, operation, parameters, arguments, noting)                           \
    int name parameters {                                                               \
        char path[PATH_MAX];                                                            \
        int mine = fd_below(fd, path);                                                  \
        if (mine) FAILS(operation, path, REAL(name) arguments);                         \
        int result = REAL(name) arguments;                                              \
        if (mine && !result) noting(fd);                                                \
        return result;                                                                  \
    }
ON_FD(fsync, "fsync", (int fd), (fd), note_sync)
ON_FD(fdatasync, "fsync", (int fd), (fd), note_sync)
ON_FD(ftruncate, "ftruncate", (int fd, off_t size), (fd, size), note_write)
ON_FD(ftruncate64, "ftruncate", (int fd, off64_t size), (fd, size), note_write)

#define ON_NAME(name, operation, at, file, parameters, arguments)                       \
    int name parameters {                                                               \
        char path[PATH_MAX];                                                            \
        if (name_below(at, file, path)) FAILS(operation, path, REAL(name) arguments);   \
        return REAL(name) arguments;                                                    \
    }
ON_NAME(rename, "rename", AT_FDCWD, to, (const char *from, const char *to), (from, to))
ON_NAME(renameat, "rename", to_at, to, (int at, const char *from, int to_at, const char *to), (at, from, to_at, to))
ON_NAME(renameat2, "rename", to_at, to, (int at, const char *from, int to_at, const char *to, unsigned flags),
        (at, from, to_at, to, flags))
ON_NAME(mkdir, "mkdir", AT_FDCWD, name, (const char *name, mode_t mode), (name, mode))
ON_NAME(mkdirat, "mkdir", at, name, (int at, const char *name, mode_t mode), (at, name, mode))
ON_NAME(unlink, "unlink", AT_FDCWD, name, (const char *name), (name))
ON_NAME(unlinkat, "unlink", at, name, (int at, const char *name, int flags), (at, name, flags))
ON_NAME(rmdir, "rmdir", AT_FDCWD, name, (const char *name), (name))
