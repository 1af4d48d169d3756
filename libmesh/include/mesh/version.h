/* The version of libmesh, which is also that of the programs. The Makefile reads it here.
 *
 * Until 1.0.0 any version may change structs while the soname stays libmesh.so.0, so a program is to be built with the headers of the
 * library that it runs with: then mesh_version() is its MESH_VERSION. From 1.0.0 on the soname changes with the ABI. */
#ifndef MESH_VERSION_H
#define MESH_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define MESH_VERSION "0.1.0"

/* MESH_VERSION of the library that is running; a string constant. */
const char *mesh_version(void);

#ifdef __cplusplus
}
#endif

#endif
