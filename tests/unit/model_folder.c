#include "model_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool model_folder_path(const char *file, char path[MODEL_PATH_MAX])
{
    const char *folder = getenv("MESH_MODELS");

    snprintf(path, MODEL_PATH_MAX, "%s/%s", folder != NULL ? folder : "../shared/models", file);
    return access(path, R_OK) == 0;
}
