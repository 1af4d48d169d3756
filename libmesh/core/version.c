/* The version that the library was built as. */
#include "mesh/version.h"

const char *mesh_version(void)
{
    return MESH_VERSION;
}
