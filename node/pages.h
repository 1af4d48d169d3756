/* Pages of memory: huge ones where the system has some, and had before they are touched, as many at once are had faster than one by one. */
#ifndef NODE_PAGES_H
#define NODE_PAGES_H

#include <stddef.h>

enum { PAGES_HUGE_BYTES = 2 << 20 };

/* Both concern the whole pages between at and at + bytes, and do nothing where the system does not know how. Any thread. */

/* From now on, pages that come here may be huge ones. */
void pages_prefer_huge(void *at, size_t bytes);

/* Have those pages now. */
void pages_have(void *at, size_t bytes);

/* Zeros, aligned to a page, that are not there until they are touched, as calloc's of the heap may be. NULL: cannot be had. Given back by
 * pages_release with as many bytes; NULL is fine. */
void *pages_zeros(size_t bytes);
void pages_release(void *at, size_t bytes);

/* The same of huge pages where the system has some, but for what is over in the end. */
void *pages_huge(size_t bytes);

/* Give pages of such memory back, and keep the place: they are zeros when they are touched again. */
void pages_forget(void *at, size_t bytes);

#endif
