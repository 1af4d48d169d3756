/* Several datagrams in one captured frame.
 *
 * With segmentation offload the kernel hands a run of datagrams to the network card as one, and a capture at the sender shows it so (with
 * receive offload, one at the receiver, too). All but the last are of one size. The end of a datagram follows from the exact size of its
 * type, or from the next one's header. */
#ifndef DISSECTOR_GSO_H
#define DISSECTOR_GSO_H

#include <stddef.h>
#include <stdint.h>

/* The size of the first datagram of a payload of `size` bytes, of which `captured` are there; `size` when no other one follows. */
size_t gso_first_size(const uint8_t *payload, size_t captured, size_t size);

#endif
