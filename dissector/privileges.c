#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOBODY = 65534 }; /* user and group, on a system whose list of users is empty, as in many containers */

int privileges_drop(const char *user, struct fail *fail)
{
    const char *caller = getenv("SUDO_USER");
    const char *name = user ? user : caller && caller[0] ? caller : "nobody";
    const struct passwd *entry;

    if (geteuid() != 0 || strcmp(name, "root") == 0)
        return 0;
    entry = getpwnam(name);
    if (entry == NULL && user != NULL)
        return fail_set(fail, EXIT_USAGE, "-Z: %.60s: there is no such user: give one that exists", name);
    if ((entry != NULL ? initgroups(entry->pw_name, entry->pw_gid) : setgroups(0, NULL)) != 0 ||
        setgid(entry != NULL ? entry->pw_gid : NOBODY) != 0 || setuid(entry != NULL ? entry->pw_uid : NOBODY) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "-Z: cannot become %.60s: %s: give -Z root to stay root", name, strerror(errno));
    return 0;
}
