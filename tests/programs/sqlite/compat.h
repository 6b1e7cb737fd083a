/* What SQLite asks of POSIX and WASI has not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static inline int fchmod(int descriptor, mode_t mode) { (void)descriptor; (void)mode; return 0; }
static inline int chmod(const char *path, mode_t mode) { (void)path; (void)mode; return 0; }
static inline int fchown(int descriptor, uid_t user, gid_t group) { (void)descriptor; (void)user; (void)group; return 0; }
static inline uid_t geteuid(void) { return 0; }
static inline uid_t getuid(void) { return 0; }
static inline FILE *popen(const char *command, const char *mode) { (void)command; (void)mode; errno = ENOTSUP; return NULL; }
static inline int pclose(FILE *file) { (void)file; return -1; }

#ifndef F_RDLCK
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#define F_GETLK 5
#define F_SETLK 6
#endif
