/* Signals that end a program, where it does not handle them itself: a handler cleans up first. */
#ifndef MESH_PROGRAM_SIGNALS_H
#define MESH_PROGRAM_SIGNALS_H

/* From now on SIGINT, SIGTERM and SIGHUP call a handler; those that are handled already, or ignored, do not. The handler may make
 * async-signal-safe calls only, and ends with raise(number), which has its usual effect then. One thread. */
void signals_catch(void (*handler)(int number));

/* Signals that this handler has are as usual again. */
void signals_reset(void (*handler)(int number));

#endif
