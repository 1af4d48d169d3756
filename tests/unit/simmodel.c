#include "simmodel.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void simmodel_open(struct simmodel *synth, const struct synth_options *options)
{
    char folder[] = "/tmp/simmodel.XXXXXX", path[64];
    struct fail fail = {.text = "cannot make a folder in /tmp"};

    *synth = (struct simmodel){0};
    if (mkdtemp(folder) != NULL) {
        snprintf(path, sizeof path, "%s/m.gguf", folder);
        if (synth_write(options, path, &fail) == 0)
            synth->gguf = gguf_open(path, &fail);
        unlink(path);
        rmdir(folder);
    }
    if (synth->gguf != NULL)
        synth->model = model_open(synth->gguf, &fail);
    if (synth->model == NULL) {
        fprintf(stderr, "simmodel: %s\n", fail.text);
        abort();
    }
}

void simmodel_close(struct simmodel *synth)
{
    model_close(synth->model);
    gguf_close(synth->gguf);
}
