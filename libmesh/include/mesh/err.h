/* Error codes shared by libmesh and the programs. Functions return 0 or a negative code;
 * an output is written only on success. */
#ifndef MESH_ERR_H
#define MESH_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

enum mesh_err {
    MESH_OK = 0,
    MESH_AGAIN = -1,      /* a bounded queue or window is full: drain, then try again */
    MESH_EINVAL = -2,     /* arguments or configuration break a documented rule */
    MESH_ETRUNCATED = -3, /* fewer bytes than the message's exact size */
    MESH_EVERSION = -4,   /* another protocol version */
    MESH_ETYPE = -5,      /* unknown message type */
    MESH_ERANGE = -6,     /* a field is outside its declared range */
    MESH_ESENDER = -7,    /* source rank or address is not a member of this epoch */
    MESH_EEPOCH = -8,     /* message of another epoch */
    MESH_EDUPLICATE = -9, /* number already seen */
    MESH_ESTATE = -10,    /* not expected in this state, e.g. a tile from a peer whose handshake is not complete */
    MESH_EREFUSED = -11,  /* the peer does not fit: version, model, configuration */
    MESH_ENOMEM = -12,
    MESH_ESYSTEM = -13, /* a system call failed; errno has the reason */
    MESH_EAUTH = -14    /* nothing proves that a holder of the key sent it: no tag, another key, or it was changed on the way */
};

/* A short English phrase for a code, never NULL; a string constant. */
const char *mesh_strerror(int err);

#ifdef __cplusplus
}
#endif

#endif
