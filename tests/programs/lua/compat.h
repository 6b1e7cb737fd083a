/* What Lua's libraries ask of C and WASI has not: it fails. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static inline char *wasi_tmpnam(char *name) { (void)name; errno = ENOTSUP; return NULL; }
static inline FILE *wasi_tmpfile(void) { errno = ENOTSUP; return NULL; }
static inline int wasi_system(const char *command) { (void)command; errno = ENOTSUP; return -1; }

#define L_tmpnam 32
#define tmpnam wasi_tmpnam
#define tmpfile wasi_tmpfile
#define system wasi_system
