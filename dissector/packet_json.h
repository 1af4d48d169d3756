/* Datagrams as JSON: one object per line, keys from the wire schema. docs/man/mesh-dissect.1 lists those that are not. */
#ifndef DISSECTOR_PACKET_JSON_H
#define DISSECTOR_PACKET_JSON_H

#include "filter.h"
#include "mesh/program/json.h"
#include "numbers.h"
#include "packet.h"

/* An object "datagram". what: the verdict on its number; borrowed. verdicts: bits of enum filter_verdict. */
void packet_json_write(struct json *json, const struct packet *packet, const struct numbers_verdict *what, unsigned verdicts);

/* An object "frame" for one that holds no datagram of ours. */
void packet_json_write_frame(struct json *json, const struct packet *packet);

/* The fields of a part of a message, inside an open object; and a message's or part's name as a key. */
enum { PACKET_JSON_NAME_BYTES = 32 };
void packet_json_fields(struct json *json, const struct packet_part *part);
const char *packet_json_name(const char *name, char out[PACKET_JSON_NAME_BYTES]);

#endif
