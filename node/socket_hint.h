/* What to do where a socket cannot be had, in the last words of a message. */
#ifndef NODE_SOCKET_HINT_H
#define NODE_SOCKET_HINT_H

/* By errno, where that is no question of the address; otherwise what the caller says. */
const char *socket_hint(int reason, const char *otherwise);

#endif
