/* Real models for tests, on machines that have them: $MESH_MODELS, else ../shared/models. */
#ifndef TESTS_MODEL_FOLDER_H
#define TESTS_MODEL_FOLDER_H

#include <stdbool.h>

enum { MODEL_PATH_MAX = 4096 };

/* False when there is no such file: the test is to be skipped. */
bool model_folder_path(const char *file, char path[MODEL_PATH_MAX]);

#endif
