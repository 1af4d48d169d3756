/* Advice when a socket cannot be opened: the last words of a message. */
#ifndef NODE_SOCKET_HINT_H
#define NODE_SOCKET_HINT_H

/* By errno, if the address is not the cause; otherwise what the caller passes. */
const char *socket_hint(int reason, const char *otherwise);

#endif
