#include "bench_model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct bench_shape bench_shape_1b = {
    "1.1B", {.dim = 2048, .hidden = 5632, .layers = 22, .heads = 32, .kv_heads = 4, .vocab = 32000, .context = 512, .seed = 1}};
const struct bench_shape bench_shape_110m = {
    "110M", {.dim = 768, .hidden = 2048, .layers = 12, .heads = 12, .kv_heads = 12, .vocab = 32000, .context = 512, .seed = 1}};
const struct bench_shape bench_shape_small = {
    "small", {.dim = 256, .hidden = 512, .layers = 2, .heads = 8, .kv_heads = 4, .vocab = 2000, .context = 512, .seed = 1}};

uint64_t bench_model_bytes(const struct bench_shape *shape, enum tensor_type type)
{
    const struct synth_options *o = &shape->options;
    uint64_t kv_rows = (uint64_t)o->dim / o->heads * o->kv_heads;
    uint64_t per_layer = 2 * (uint64_t)o->dim * o->dim + 2 * kv_rows * o->dim + 3 * (uint64_t)o->dim * o->hidden;
    const struct tensor_type_info *info = tensor_type_info(type);

    return (o->layers * per_layer + 2 * (uint64_t)o->vocab * o->dim) / info->block_values * info->block_bytes;
}

static const char *find_folder(const char *wanted)
{
    const char *folder = getenv("TMPDIR");

    if (folder != NULL && folder[0] != '\0')
        return folder;
    return access(wanted, W_OK | X_OK) == 0 ? wanted : "/tmp";
}

static int write_in(struct bench_model *model, const char *folder, const struct synth_options *options, struct fail *fail)
{
    char path[4096 + 16];
    struct stat status;

    snprintf(path, sizeof path, "%s/m.gguf", folder);
    if (synth_write(options, path, fail) < 0)
        return -1;
    model->file = open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    if (model->file < 0 || fstat(model->file, &status) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot open: %s: set TMPDIR to another folder", path, strerror(errno));
    model->bytes = (uint64_t)status.st_size;
    snprintf(model->path, sizeof model->path, "/proc/%d/fd/%d", (int)getpid(), model->file);
    return 0;
}

static int write_below(struct bench_model *model, const char *wanted, const struct bench_shape *shape, enum tensor_type type,
                       struct fail *fail)
{
    struct synth_options options = shape->options;
    char folder[4096];
    sigset_t stops, before;

    *model = (struct bench_model){.file = -1};
    options.type = type;
    snprintf(folder, sizeof folder, "%.4000s/mesh-bench.XXXXXX", find_folder(wanted));
    /* Until the file has lost its name, no signal may end the program. */
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_BLOCK, &stops, &before);
    if (mkdtemp(folder) == NULL) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot make a folder: %s: set TMPDIR to another folder", folder, strerror(errno));
    }
    int err = write_in(model, folder, &options, fail);
    rmdir(folder);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (err < 0)
        bench_model_close(model);
    return err;
}

int bench_model_write(struct bench_model *model, const struct bench_shape *shape, enum tensor_type type, struct fail *fail)
{
    return write_below(model, "/dev/shm", shape, type, fail);
}

int bench_model_write_to_disk(struct bench_model *model, const struct bench_shape *shape, enum tensor_type type, struct fail *fail)
{
    return write_below(model, "/var/tmp", shape, type, fail);
}

void bench_model_close(struct bench_model *model)
{
    if (model->file >= 0)
        close(model->file);
    model->file = -1;
}
