/* The machines that this is for. `make` asks the compiler with this file before it compiles any other. */
#ifndef MESH_MACHINE_H
#define MESH_MACHINE_H

#if !defined(__linux__)
#error "this system is not supported: Linux only (epoll, batches of datagrams, futexes)"
#endif
#if __SIZEOF_POINTER__ != 8 || __SIZEOF_SIZE_T__ != 8 || __SIZEOF_LONG__ != 8
#error "this machine is not supported: 64-bit ones only, whose processes have room for a model"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "this machine is not supported: little-endian ones only, as weights and what is on the wire are"
#endif

#endif
