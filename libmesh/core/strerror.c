/* Words for error codes. */
#include "mesh/err.h"

const char *mesh_strerror(int err)
{
    switch ((enum mesh_err)err) { /* without a default, so that the compiler names a code that lacks its words */
    case MESH_OK:
        return "ok";
    case MESH_AGAIN:
        return "queue or window full";
    case MESH_EINVAL:
        return "invalid argument or configuration";
    case MESH_ETRUNCATED:
        return "of another size than it should be, or damaged";
    case MESH_EVERSION:
        return "of another version";
    case MESH_ETYPE:
        return "not of this protocol, or another kind of file";
    case MESH_ERANGE:
        return "field outside its range";
    case MESH_ESENDER:
        return "sender is not a member";
    case MESH_EEPOCH:
        return "another epoch";
    case MESH_EDUPLICATE:
        return "number already seen";
    case MESH_ESTATE:
        return "not expected in this state";
    case MESH_EREFUSED:
        return "peer does not fit";
    case MESH_ENOMEM:
        return "out of memory";
    case MESH_ESYSTEM:
        return "system call failed";
    case MESH_EAUTH:
        return "not authenticated";
    case MESH_EABSENT:
        return "nothing of that name";
    }
    return "unknown error";
}
