/* Messages to the service manager: the node is ready, its status, it is stopping.
 *
 * systemd gives a service the name of a datagram socket in $NOTIFY_SOCKET and takes lines "READY=1", "STATUS=text", "STOPPING=1" there
 * (sd_notify(3)). Without that variable nothing happens. */
#ifndef NODE_NOTIFY_H
#define NODE_NOTIFY_H

/* Best effort: a manager that does not listen is no reason to stop. text: lines, separated by newlines. If the manager's queue is full, a
 * message that begins with READY=1 waits some seconds for room, since the manager would wait for it forever; any other message is
 * dropped. */
void notify_manager(const char *text);

#endif
