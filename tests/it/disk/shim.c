// A disk between the relay and its files: it writes down what became durable, and it can fail.
//
// Loaded by LD_PRELOAD into the real binary; acts only on what lies below one directory.
//
// Promises: a tape of every change in the order in which it happened, and of every fsync and fdatasync that ended well,
// with the place on the tape where it began: only what stands before that place is surely on the disk. sync_file_range
// is no sync: it leaves the device's cache and the file's length alone.
// Never: a change that is on the tape and was not made. What bypasses libc is not seen (tempfile renames by a bare system
// call): each sync of a directory lists it, and the test holds the whole tape against the real files.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// What the test writes while the relay runs; `disk/shim.rs` has the same places.
struct control {
    volatile uint32_t write_errno; // of every write
    volatile uint32_t make_errno;  // of whatever makes, names or removes a file
    volatile uint32_t sync_errno;  // of every sync
    volatile uint32_t sync_millis; // how long a sync takes
    volatile uint32_t sync_hangs;  // no sync ends while this is set
    volatile uint32_t full;        // writes find no room: the first one is cut in half
    volatile uint32_t hits;        // how often any of it was met
    char scope[36];                // only files whose path below the directory begins so
};

enum { WRITE = 1, TRUNCATE, CREATE, MKDIR, REMOVE, RENAME, LIST, SYNCED };

struct header {
    uint32_t kind, length;
    uint64_t inode, other;
};

struct known {
    ino_t inode;
    char path[128];
};

static struct known known[4096];
static int knows;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int tape = -1;
static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *below = getenv("DISK_BELOW"), *record = getenv("DISK_TAPE"), *orders = getenv("DISK_CONTROL");
    if (!below) return;
    if (record) tape = syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (orders) {
        int fd = syscall(SYS_openat, AT_FDCWD, orders, O_RDWR | O_CLOEXEC);
        void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd < 0 || page == MAP_FAILED) abort();
        close(fd);
        control = page;
    }
    if (record && tape < 0) abort();
    root_length = strlen(below);
    memcpy(root, below, root_length + 1);
}

static void lock(void) { pthread_mutex_lock(&mutex); }
static void unlock(void) {
    int kept = errno;
    pthread_mutex_unlock(&mutex);
    errno = kept;
}

static uint64_t place(void) { return tape < 0 ? 0 : (uint64_t)lseek(tape, 0, SEEK_END); }

static void record(uint32_t kind, ino_t inode, uint64_t other, const void *bytes, size_t length) {
    int kept = errno;
    struct header header = {kind, (uint32_t)length, inode, other};
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)bytes, length}};
    // One call, so that only a kill can leave half a record.
    if (tape >= 0 && syscall(SYS_writev, tape, parts, 2) != (long)(sizeof header + length)) abort();
    errno = kept;
}

// The whole path, if it lies in the directory or is the directory.
static int below(int dir, const char *path, char *whole) {
    if (!root_length) return 0;
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX) return 0;
        strcpy(whole, path);
    } else {
        char base[PATH_MAX];
        if (dir == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length < 0) return 0;
            base[length] = 0;
        }
        if (strlen(base) + strlen(path) + 2 > PATH_MAX) return 0;
        strcpy(whole, base);
        strcat(whole, "/");
        strcat(whole, path);
    }
    return !strncmp(whole, root, root_length) && (whole[root_length] == '/' || !whole[root_length]);
}

static const char *relative(const char *whole) { return whole[root_length] ? whole + root_length + 1 : ""; }

static const char *name_of(const char *whole) { return strrchr(whole, '/') + 1; }

static ino_t parent_of(const char *whole) {
    char parent[PATH_MAX];
    struct stat stat_;
    strcpy(parent, whole);
    *strrchr(parent, '/') = 0;
    return stat(parent, &stat_) ? 0 : stat_.st_ino;
}

static struct known *find(ino_t inode) {
    for (int i = knows - 1; i >= 0; i--)
        if (known[i].inode == inode) return &known[i];
    return NULL;
}

static void learn(ino_t inode, const char *path) {
    struct known *one = find(inode);
    if (!one) {
        if (knows == (int)(sizeof known / sizeof *known)) abort();
        one = &known[knows++];
    }
    one->inode = inode;
    snprintf(one->path, sizeof one->path, "%s", path);
}

static void forget(ino_t inode) {
    struct known *one = find(inode);
    if (one) *one = known[--knows];
}

// A descriptor that was opened below the directory; descriptors are not followed, because their numbers are used again.
static struct known *of(int fd, struct stat *stat_) {
    if (!root_length || fstat(fd, stat_) || !(S_ISREG(stat_->st_mode) || S_ISDIR(stat_->st_mode))) return NULL;
    return find(stat_->st_ino);
}

static int meant(const char *path) {
    return control && !strncmp(path, control->scope, strnlen(control->scope, sizeof control->scope));
}

static int fails(const char *path, uint32_t why) {
    if (!why || !meant(path)) return 0;
    __atomic_fetch_add(&control->hits, 1, __ATOMIC_SEQ_CST);
    errno = (int)why;
    return 1;
}

static uint32_t making(void) { return !control ? 0 : control->full ? ENOSPC : control->make_errno; }

static int open_(int dir, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    if (!below(dir, path, whole)) return syscall(SYS_openat, dir, path, flags, mode);
    struct stat stat_;
    lock();
    int fresh = (flags & O_CREAT) && fstatat(AT_FDCWD, whole, &stat_, AT_SYMLINK_NOFOLLOW);
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    int fd = -1;
    // Where nothing can be written, nothing can be opened to be written.
    int refused = fresh || (writes && control && control->make_errno == EROFS);
    if (!(refused && fails(relative(whole), making()))) fd = syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && !fstat(fd, &stat_)) {
        learn(stat_.st_ino, relative(whole));
        if (fresh) record(CREATE, stat_.st_ino, parent_of(whole), name_of(whole), strlen(name_of(whole)));
        else if ((flags & O_TRUNC) && writes) record(TRUNCATE, stat_.st_ino, 0, "", 0);
    }
    unlock();
    return fd;
}

#define OPEN(name, ...)                                                                                                \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;                                          \
    va_end(rest);                                                                                                      \
    return open_(__VA_ARGS__, flags, mode);
int open(const char *path, int flags, ...) { OPEN(open, AT_FDCWD, path) }
int open64(const char *path, int flags, ...) { OPEN(open64, AT_FDCWD, path) }
int openat(int dir, const char *path, int flags, ...) { OPEN(openat, dir, path) }
int openat64(int dir, const char *path, int flags, ...) { OPEN(openat64, dir, path) }

// `at` below zero: where the descriptor stands.
static ssize_t write_(int fd, const void *bytes, size_t length, off_t at) {
    struct stat stat_;
    lock();
    struct known *file = of(fd, &stat_);
    ssize_t done = -1;
    if (file && control && control->full && meant(file->path)) {
        // As a file system does: what fits is written, and only the next call is told.
        if (control->full == 1 && length > 1) {
            control->full = 2;
            length /= 2;
        } else {
            fails(file->path, ENOSPC);
            unlock();
            return -1;
        }
    }
    if (!(file && control && fails(file->path, control->write_errno))) {
        done = at < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, at);
        if (file && done > 0) {
            uint64_t from = at < 0 ? (uint64_t)lseek(fd, 0, SEEK_CUR) - (uint64_t)done : (uint64_t)at;
            record(WRITE, stat_.st_ino, from, bytes, (size_t)done);
        }
    }
    unlock();
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    struct stat stat_;
    // Sockets and pipes may wait: never under the lock.
    if (fstat(fd, &stat_) || !S_ISREG(stat_.st_mode)) return syscall(SYS_write, fd, bytes, length);
    return write_(fd, bytes, length, -1);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return write_(fd, bytes, length, at); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return write_(fd, bytes, length, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct stat stat_;
    if (fstat(fd, &stat_) || !S_ISREG(stat_.st_mode)) return syscall(SYS_writev, fd, parts, count);
    // A short write is allowed, so that one part at a time will do.
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len) return write_(fd, parts[i].iov_base, parts[i].iov_len, -1);
    return 0;
}

int ftruncate64(int fd, off_t size) {
    struct stat stat_;
    lock();
    struct known *file = of(fd, &stat_);
    int done = -1;
    if (!(file && control && fails(file->path, control->write_errno))) {
        done = syscall(SYS_ftruncate, fd, size);
        if (file && !done) record(TRUNCATE, stat_.st_ino, (uint64_t)size, "", 0);
    }
    unlock();
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

// What a directory holds: inode and name of each file and directory.
static void list(int fd, ino_t inode) {
    static char listing[1 << 20];
    size_t used = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name) + 1;
        if (entry->d_name[0] == '.' && (length == 2 || (length == 3 && entry->d_name[1] == '.'))) continue;
        if (entry->d_type != DT_REG && entry->d_type != DT_DIR) continue;
        if (used + 8 + length > sizeof listing) abort();
        uint64_t number = entry->d_ino;
        memcpy(listing + used, &number, 8);
        memcpy(listing + used + 8, entry->d_name, length);
        used += 8 + length;
    }
    if (dir) closedir(dir);
    record(LIST, inode, 0, listing, used);
}

static int sync_(int fd, long call) {
    struct stat stat_;
    char path[128];
    lock();
    struct known *file = of(fd, &stat_);
    uint64_t from = place();
    if (file) {
        strcpy(path, file->path);
        if (S_ISDIR(stat_.st_mode)) list(fd, stat_.st_ino);
    }
    unlock();
    if (file && meant(path)) {
        if (control->sync_millis || control->sync_hangs) __atomic_fetch_add(&control->hits, 1, __ATOMIC_SEQ_CST);
        struct timespec wait = {control->sync_millis / 1000, control->sync_millis % 1000 * 1000000L};
        nanosleep(&wait, NULL);
        struct timespec moment = {0, 1000000};
        while (control->sync_hangs) nanosleep(&moment, NULL);
        if (fails(path, control->sync_errno)) return -1;
    }
    // The tape is what counts; a true sync of the test's own disk would only cost time.
    if (!file || tape < 0) return syscall(call, fd);
    lock();
    record(SYNCED, stat_.st_ino, from, "", 0);
    unlock();
    return 0;
}
int fsync(int fd) { return sync_(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_(fd, SYS_fdatasync); }

int sync_file_range(int fd, off64_t from, off64_t length, unsigned int flags) {
    struct stat stat_;
    lock();
    struct known *file = of(fd, &stat_);
    int failed = file && control && fails(file->path, control->sync_errno);
    unlock();
    (void)from, (void)length, (void)flags;
    return failed ? -1 : 0;
}

static int remove_(int dir, const char *path, int flags) {
    char whole[PATH_MAX];
    if (!below(dir, path, whole)) return syscall(SYS_unlinkat, dir, path, flags);
    struct stat stat_;
    lock();
    int done = -1;
    int there = !fstatat(AT_FDCWD, whole, &stat_, AT_SYMLINK_NOFOLLOW);
    // A full disk lets files go.
    if (!(control && !control->full && fails(relative(whole), making()))) done = syscall(SYS_unlinkat, dir, path, flags);
    if (!done && there) {
        if (stat_.st_nlink <= 1 || S_ISDIR(stat_.st_mode)) forget(stat_.st_ino);
        record(REMOVE, stat_.st_ino, parent_of(whole), name_of(whole), strlen(name_of(whole)));
    }
    unlock();
    return done;
}
int unlink(const char *path) { return remove_(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return remove_(dir, path, flags); }
int rmdir(const char *path) { return remove_(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode) {
    char whole[PATH_MAX];
    if (!below(AT_FDCWD, path, whole)) return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    struct stat stat_;
    lock();
    int done = -1;
    int there = !fstatat(AT_FDCWD, whole, &stat_, AT_SYMLINK_NOFOLLOW);
    if (there || !fails(relative(whole), making())) done = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (!done && !stat(whole, &stat_)) {
        learn(stat_.st_ino, relative(whole));
        record(MKDIR, stat_.st_ino, parent_of(whole), name_of(whole), strlen(name_of(whole)));
    }
    unlock();
    return done;
}

int rename(const char *old, const char *new) {
    char from[PATH_MAX], to[PATH_MAX];
    if (!below(AT_FDCWD, old, from) || !below(AT_FDCWD, new, to))
        return syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
    lock();
    int done = -1;
    if (!fails(relative(from), making())) done = syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
    if (!done) {
        char names[2 * NAME_MAX + 2];
        int length = snprintf(names, sizeof names, "%s%c%s", name_of(from), 0, name_of(to));
        record(RENAME, parent_of(from), parent_of(to), names, (size_t)length);
    }
    unlock();
    return done;
}
