/* Error codes shared by libmesh and the programs.
 *
 * Functions return 0 or a negative code. An output is written only on success, unless the function says otherwise: some write why they
 * failed (reason, struct mesh_client_error), and a message that cannot be decoded may have been decoded in part (mesh_wire_decode).
 *
 * What is asserted: mistakes of the program that calls, and nothing else; also in release builds, where they end it as well (abort). Such
 * mistakes are a rank that does not exist, a buffer with less than the stated capacity, a time before that of an earlier call, calls in
 * another order than the stated one, and a pointer that is NULL, though nothing says that it may be; the last may also end in SIGSEGV.
 * Where that is easily overlooked, the function says "asserted". Input from others never is: datagrams, records, files and text are refused
 * with a code, whatever they contain. */
#ifndef MESH_ERR_H
#define MESH_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

enum mesh_err {
    MESH_OK = 0,
    MESH_AGAIN = -1,      /* a bounded queue or window is full: drain, then try again */
    MESH_EINVAL = -2,     /* arguments or configuration break a documented rule */
    MESH_ETRUNCATED = -3, /* not the message's exact size; a file that is damaged */
    MESH_EVERSION = -4,   /* another version of the protocol, or of the form of a file */
    MESH_ETYPE = -5,      /* unknown message type; another kind of file */
    MESH_ERANGE = -6,     /* a field is outside its declared range */
    MESH_ESENDER = -7,    /* source rank or address is not a member of this epoch */
    MESH_EEPOCH = -8,     /* message of another epoch */
    MESH_EDUPLICATE = -9, /* number already seen */
    MESH_ESTATE = -10,    /* not expected in this state, e.g. a tile from a peer whose handshake is not complete */
    MESH_EREFUSED = -11,  /* the peer does not fit: version, model, configuration */
    MESH_ENOMEM = -12,
    MESH_ESYSTEM = -13, /* a system call failed; errno has the reason */
    MESH_EAUTH = -14,   /* nothing proves that a holder of the key sent it: no tag, another key, or it was changed on the way */
    MESH_EABSENT = -15  /* there is nothing of that name */
};

enum { MESH_ERRS = 16 }; /* how many codes there are, with MESH_OK: the size of counters by -enum mesh_err */

/* A short English phrase for a code, never NULL; a string constant. */
const char *mesh_strerror(int err);

#ifdef __cplusplus
}
#endif

#endif
