/* Rows of a query as text: a table with tabs, JSON objects, CSV. */
#ifndef REPLAY_ROWS_H
#define REPLAY_ROWS_H

#include <stdio.h>

#include "command.h"

enum rows_form { ROWS_TEXT, ROWS_JSON, ROWS_CSV };

enum { ROWS_COLUMNS_MAX = 200, ROWS_SECONDS = 60, ROWS_OWN_SECONDS = 3600 /* for queries of our own */ };

struct rows_query {
    const char *path; /* for messages */
    struct mesh_trace *trace;
    const char *sql;
    unsigned seconds; /* at most */
    enum rows_form form;
    bool names_trace; /* one of several: each row begins with the column "trace", its path */
    /* Of the table that earlier queries have begun, 0: none has; set. NULL: there is no other query. */
    unsigned *columns;
};

/* Run the query and write all rows to out, after a head unless a query before has written it; all queries of a table have the same columns.
 * -1: EXIT_USAGE for a bad query, EXIT_BAD_FILE, EXIT_ENVIRONMENT. */
int rows_write(const struct rows_query *query, FILE *out, struct fail *fail);

/* Run a query of our own and call each with every row, until it returns other than 0, which is then the result. */
int rows_each(const char *path, struct mesh_trace *trace, const char *sql,
              int (*each)(void *context, const struct mesh_trace_value *values), void *context, struct fail *fail);

/* The single number that a query of our own gives; 0 if it gives none. -1 after fail_set. */
int rows_number(const char *path, struct mesh_trace *trace, const char *sql, int64_t *number, struct fail *fail);

#endif
