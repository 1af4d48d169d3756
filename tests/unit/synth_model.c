#include "synth_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void synth_model_open(struct synth_model *synth, const struct synth_options *options)
{
    char folder[] = "/tmp/synth_model.XXXXXX", path[64];
    struct fail fail = {.text = "cannot make a folder in /tmp"};

    *synth = (struct synth_model){0};
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
        fprintf(stderr, "synth_model: %s\n", fail.text);
        abort();
    }
}

void synth_model_close(struct synth_model *synth)
{
    model_close(synth->model);
    gguf_close(synth->gguf);
}
