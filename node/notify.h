/* What a service manager is told: that the node is ready, what it does, that it is stopping.
 *
 * systemd gives a service the name of a datagram socket in $NOTIFY_SOCKET and takes lines "READY=1", "STATUS=text", "STOPPING=1" there
 * (sd_notify(3)). Without that variable nothing happens. */
#ifndef NODE_NOTIFY_H
#define NODE_NOTIFY_H

/* Best effort: a manager that does not listen is no reason to stop. text: lines, separated by newlines. What begins with READY=1 is waited
 * for some seconds where the manager has too much to read, since it would wait for that for ever; anything else is then left out. */
void notify_manager(const char *text);

#endif
