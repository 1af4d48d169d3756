/* `mesh-node keygen`: a new pre-shared key, as a file that only its owner may read, or as a line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "mesh/key.h"
#include "mesh/program/options.h"

static int write_key(const struct mesh_key *key, const char *path, struct fail *fail)
{
    char line[MESH_KEY_LINE_BYTES], reason[200];

    if (path == NULL) {
        mesh_key_format(key, line);
        fputs(line, stdout);
        mesh_wipe(line, sizeof line);
        return 0;
    }
    if (mesh_key_write_new(path, key, reason, sizeof reason) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: %s", path, reason);
    return 0;
}

int keygen_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node keygen [-o FILE]", "Make a pre-shared key: whoever has it is a member of the cluster.",
                                        NULL};
    static const char *const examples[] = {"mesh-node keygen -o mesh.key", "mesh-node keygen | ssh other 'umask 077; cat >mesh.key'", NULL};
    const char *path = NULL;
    bool help = false;
    const struct option_spec specs[] = {
        {.name = "output",
         .short_name = 'o',
         .kind = OPTION_PROSE,
         .target = &path,
         .metavar = "FILE",
         .help = "file to write, mode 0600; an existing file is refused (stdout)"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;
    struct mesh_key key;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (help) {
        options_help(stdout, usage, specs, count, examples);
        return 0;
    }
    if (path != NULL && path[0] == '\0')
        return fail_set(fail, EXIT_USAGE, "keygen -o: no name: give a file, or leave -o out");
    if (mesh_random(&key, sizeof key) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none: %s: no key can be made without", strerror(errno));
    int err = write_key(&key, path, fail);
    mesh_wipe(&key, sizeof key);
    return err;
}
