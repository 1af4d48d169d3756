/* Why a request over HTTP is refused, as OpenAI's API tells it: a status, and words. */
#ifndef NODE_API_ERROR_H
#define NODE_API_ERROR_H

#include <stdbool.h>
#include <stdio.h>

#include "mesh/program/fail.h"

enum {
    API_BAD_REQUEST = 400,
    API_UNAUTHORIZED = 401,
    API_FORBIDDEN = 403,
    API_NOT_FOUND = 404,
    API_NOT_ALLOWED = 405,
    API_TOO_LARGE = 413,
    API_NOT_JSON = 415,
    API_FAILED = 500,
    API_UNAVAILABLE = 503
};

struct api_error {
    unsigned status;
    const char *code;  /* for programs; NULL: none. Static */
    const char *param; /* the member of the request that is wrong; NULL: none. Static */
    char text[600];
};

/* Fill *error; always -1, so that callers can write `return api_refuse(...)`. */
__attribute__((format(printf, 5, 6))) int api_refuse(struct api_error *error, unsigned status, const char *code, const char *param,
                                                     const char *format, ...);

/* What the mesh says: an exit code of "usage" is the request's fault (400), any other the cluster's (503). Always -1. */
int api_refuse_by(struct api_error *error, const struct fail *fail);

/* The request's sender is gone, or the program ends; always -1. */
int api_give_up(struct api_error *error);
bool api_is_given_up(const struct api_error *error);

/* {"error":{...}} without a newline. */
void api_error_write(const struct api_error *error, FILE *out);

#endif
