/* The fields that display filters know: those of the wire schema, of the frame around a datagram, and of the analysis. */
#ifndef DISSECTOR_FILTER_FIELD_H
#define DISSECTOR_FILTER_FIELD_H

#include "filter.h"

enum { FILTER_NAME_BYTES = 48 };

enum filter_kind {
    FILTER_NUMBER,
    FILTER_FLAG,    /* a number that is 0 or 1; alone: is it 1? */
    FILTER_TIME,    /* ns since 1970 */
    FILTER_SPAN,    /* ns */
    FILTER_IPV4,    /* 16 bytes, mapped */
    FILTER_IPV6,    /* 16 bytes */
    FILTER_BYTES,   /* as many as size says; 0: any number */
    FILTER_TEXT,    /* bytes that are a text */
    FILTER_PRESENCE /* present or absent, without a value */
};

struct filter_field {
    char name[FILTER_NAME_BYTES]; /* "tile.phase": the short form */
    enum filter_kind kind;
    unsigned size; /* of FILTER_BYTES */
    const char *meaning;
    unsigned source, group;              /* private: of fields outside the schema (filter_source.h) */
    const struct mesh_wire_part *part;   /* of fields in it */
    const struct mesh_wire_field *field; /* NULL: the part itself */
    uint64_t bit;                        /* of a single bit of the field; 0: the field itself */
};

struct filter_value {
    uint64_t number;
    const uint8_t *bytes; /* (size) of the kinds that are bytes */
    size_t size;
};

enum filter_found { FILTER_FOUND, FILTER_UNKNOWN, FILTER_AMBIGUOUS };

/* Find a field by any of its names. hint: for an unknown name the nearest one ("" if none is near), for an ambiguous one its candidates. */
enum filter_found filter_field_find(const char *name, size_t length, struct filter_field *out, char hint[200]);

/* The index-th named value of a field of numbers; false beyond the last. */
bool filter_field_word(const struct filter_field *field, unsigned index, const char **word, uint64_t *value);

/* Is the field known only after the whole capture was read? */
bool filter_field_is_verdict(const struct filter_field *field);

/* The index-th value of the field in a datagram; false beyond the last. bytes: valid as long as the packet. */
bool filter_field_get(const struct filter_field *field, const struct filter_subject *subject, unsigned index, struct filter_value *out);

#endif
