/* Memory pages: huge ones where the system has them; and populated in bulk before they are touched, which is faster than one by one. */
#ifndef NODE_PAGES_H
#define NODE_PAGES_H

#include <stddef.h>

enum { PAGES_HUGE_BYTES = 2 << 20 };

/* Both apply to the whole pages between at and at + bytes, and do nothing where the system does not support it. Any thread. */

/* Pages populated here from now on may be huge. */
void pages_prefer_huge(void *at, size_t bytes);

/* Populate those pages now. */
void pages_have(void *at, size_t bytes);

/* Zeroed, page-aligned memory whose pages are populated when touched, which calloc from the heap does not guarantee. NULL: not available.
 * Released by pages_release with the same size; NULL is fine. */
void *pages_zeros(size_t bytes);
void pages_release(void *at, size_t bytes);

/* The same with huge pages where the system has them, except for a remainder at the end. */
void *pages_huge(size_t bytes);

/* Give pages of such memory back but keep the address range: they are zeros when touched again. */
void pages_forget(void *at, size_t bytes);

#endif
