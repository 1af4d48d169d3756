/* Datagrams in the trace store: taken apart into columns by the wire schema, and put together again. */
#include <string.h>

#include "mesh/program/byte_order.h"
#include "trace_parts.h"

static const struct trace_table *const datagrams = &mesh_trace_tables[MESH_TRACE_TABLE_DATAGRAM];

/* ---- statements ---- */

static void add_places(sqlite3_str *sql, int count)
{
    for (int i = 0; i < count; i++)
        sqlite3_str_appendf(sql, i ? ",?" : ") VALUES(?");
    sqlite3_str_appendf(sql, ")");
}

static int add_names(sqlite3_str *sql, const struct mesh_wire_part *part, const char *before)
{
    int count = 0;

    for (unsigned i = 0; i < part->field_count; i++)
        if (part != &mesh_wire_header || mesh_trace_header_has(i))
            sqlite3_str_appendf(sql, "%s\"%s\"", count++ ? "," : before, part->fields[i].name);
    return count;
}

static char *insert_datagram_sql(const char *into)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    int count = datagrams->column_count;

    sqlite3_str_appendf(sql, "INSERT INTO %sdatagrams(", into);
    for (int i = 0; i < count; i++)
        sqlite3_str_appendf(sql, "%s%s", i ? "," : "", datagrams->columns[i].name);
    count += add_names(sql, &mesh_wire_header, ",");
    add_places(sql, count);
    return sqlite3_str_finish(sql);
}

/* keys: the columns before the fields. */
static char *insert_part_sql(const char *into, const char *table, const char *keys, int key_count, const struct mesh_wire_part *part)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);

    sqlite3_str_appendf(sql, "INSERT INTO %s%s(%s", into, table, keys);
    add_places(sql, key_count + add_names(sql, part, ","));
    return sqlite3_str_finish(sql);
}

static char *select_part_sql(const char *table, const char *key, const struct mesh_wire_part *part)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);

    add_names(sql, part, "SELECT ");
    sqlite3_str_appendf(sql, " FROM %s WHERE %s = ?1", table, key);
    return sqlite3_str_finish(sql);
}

/* ---- writing ---- */

/* What of a datagram is in columns, and where the rest begins. */
struct taken_apart {
    enum mesh_trace_form form;
    struct mesh_message message;
    const uint8_t *data;
    size_t data_bytes;
};

static void take_apart(struct taken_apart *apart, const uint8_t *packet, size_t packet_bytes, bool is_cut)
{
    struct mesh_message *message = &apart->message;
    const struct mesh_wire_part *part;

    apart->form = MESH_TRACE_OPAQUE;
    apart->data = packet;
    apart->data_bytes = packet_bytes;
    if (mesh_wire_decode_header(packet, packet_bytes, &message->header) != 0)
        return;
    part = mesh_wire_message(message->header.type);
    apart->form = MESH_TRACE_HEADER;
    apart->data = packet + MESH_HEADER_BYTES;
    apart->data_bytes = packet_bytes - MESH_HEADER_BYTES;
    if (is_cut || (message->header.flags & MESH_FLAG_SEALED) != 0 || message->header.version != MESH_WIRE_VERSION ||
        mesh_wire_decode_body(packet, packet_bytes, message) != 0 ||
        (part->tail == MESH_TAIL_PADDING && !mesh_trace_is_zero(message->data, message->data_bytes)))
        return;
    apart->form = MESH_TRACE_WHOLE;
    apart->data = message->data;
    apart->data_bytes = part->tail == MESH_TAIL_PADDING ? 0 : message->data_bytes;
}

/* Ranges and members are kept in any case: they are what a NAK or a plan says. */
static bool is_list(const struct taken_apart *apart)
{
    const enum mesh_wire_tail tail = apart->form == MESH_TRACE_WHOLE ? mesh_wire_message(apart->message.header.type)->tail : MESH_TAIL_NONE;

    return tail == MESH_TAIL_RANGES || tail == MESH_TAIL_MEMBERS;
}

static int add_row(struct mesh_trace *trace, const struct mesh_trace_datagram *row, const struct taken_apart *apart)
{
    sqlite3_stmt **statement = &trace->add[MESH_TRACE_TABLE_DATAGRAM];
    int err = *statement ? 0 : mesh_trace_prepare(trace, statement, insert_datagram_sql(trace->into));

    if (err != 0)
        return err;
    for (int i = 0; i < datagrams->column_count; i++)
        mesh_trace_bind(*statement, i + 1, datagrams->columns[i].type, (const char *)row + datagrams->columns[i].offset);
    if (row->id == 0)
        sqlite3_bind_null(*statement, 1);
    if (apart->form != MESH_TRACE_OPAQUE)
        mesh_trace_bind_fields(*statement, datagrams->column_count + 1, &mesh_wire_header, &apart->message.header);
    trace->checks.is_new[MESH_TRACE_TABLE_DATAGRAM] = true;
    return mesh_trace_run(trace, *statement);
}

static int add_message(struct mesh_trace *trace, uint64_t id, const struct mesh_message *message)
{
    const struct mesh_wire_part *part = mesh_wire_message(message->header.type);
    sqlite3_stmt **statement = &trace->add_message[message->header.type];
    char name[TRACE_NAME_BYTES];
    int err = 0;

    if (!*statement) {
        mesh_trace_part_name(name, "message", part->name);
        err = mesh_trace_prepare(trace, statement, insert_part_sql(trace->into, name, "datagram", 1, part));
    }
    if (err != 0)
        return err;
    sqlite3_bind_int64(*statement, 1, (int64_t)id);
    mesh_trace_bind_fields(*statement, 2, part, &message->as);
    trace->checks.is_new[CHECKED_MESSAGES + message->header.type] = true;
    return mesh_trace_run(trace, *statement);
}

static int add_list(struct mesh_trace *trace, uint64_t id, const struct mesh_message *message)
{
    const bool is_nak = mesh_wire_message(message->header.type)->tail == MESH_TAIL_RANGES;
    const struct mesh_wire_part *part = is_nak ? &mesh_wire_range : &mesh_wire_member;
    sqlite3_stmt **statement = is_nak ? &trace->add_range : &trace->add_member;
    const unsigned count = is_nak ? message->as.nak.range_count : message->as.plan.member_count;
    int err = 0;

    if (!*statement) {
        err = mesh_trace_prepare(trace, statement,
                                 insert_part_sql(trace->into, is_nak ? "message_ranges" : "message_members", "datagram, place", 2, part));
    }
    trace->checks.is_new[is_nak ? CHECKED_RANGES : CHECKED_MEMBERS] = true;
    for (unsigned i = 0; i < count && err == 0; i++) {
        sqlite3_bind_int64(*statement, 1, (int64_t)id);
        sqlite3_bind_int64(*statement, 2, i);
        mesh_trace_bind_fields(*statement, 3, part, is_nak ? (const void *)&message->ranges[i] : &message->members[i]);
        err = mesh_trace_run(trace, *statement);
    }
    return err;
}

/* How the payload is stored; into the row. */
static void pack(struct mesh_trace *trace, const struct taken_apart *apart, struct mesh_trace_datagram *row)
{
    row->coding = MESH_TRACE_ZSTD;
    if (!trace->is_written || !mesh_trace_pack(trace, apart->data, apart->data_bytes, &row->payload)) {
        row->coding = MESH_TRACE_PLAIN; /* rows that are made to be read are not there for long */
        row->payload = (struct mesh_trace_bytes){apart->data, apart->data_bytes};
    }
}

static int add(struct mesh_trace *trace, const struct mesh_trace_datagram *row, const struct taken_apart *apart, uint64_t *id)
{
    int err = add_row(trace, row, apart);
    const uint64_t own_id = (uint64_t)sqlite3_last_insert_rowid(trace->db);

    if (err == 0 && apart->form == MESH_TRACE_WHOLE)
        err = add_message(trace, own_id, &apart->message);
    if (err == 0 && is_list(apart))
        err = add_list(trace, own_id, &apart->message);
    if (err == 0 && id)
        *id = own_id;
    return err;
}

static int add_datagram(struct mesh_trace *trace, const struct mesh_trace_datagram *row, const uint8_t *packet, size_t packet_bytes,
                        bool keep_payload, const uint64_t *hash, uint64_t *id)
{
    struct mesh_trace_datagram made = *row;
    struct taken_apart apart;
    const int err = mesh_trace_check_writable(trace);

    if (err != 0)
        return err;
    if (packet_bytes > MESH_TRACE_DATAGRAM_BYTES_MAX)
        return mesh_trace_fail(trace, MESH_EINVAL, "a datagram of %zu bytes: give at most %d", packet_bytes, MESH_TRACE_DATAGRAM_BYTES_MAX);
    take_apart(&apart, packet, packet_bytes, row->bytes > (int64_t)packet_bytes);
    if (row->bytes < (int64_t)packet_bytes)
        made.bytes = (int64_t)packet_bytes;
    made.form = apart.form;
    made.data_bytes = (int64_t)apart.data_bytes;
    made.data_hash = hash ? *hash : mesh_trace_hash(apart.data, apart.data_bytes);
    made.payload = (struct mesh_trace_bytes){NULL, 0};
    made.coding = MESH_TRACE_NOT_STORED;
    if ((keep_payload || is_list(&apart)) && apart.data_bytes > 0)
        pack(trace, &apart, &made);
    return add(trace, &made, &apart, id);
}

int mesh_trace_add_datagram(struct mesh_trace *trace, const struct mesh_trace_datagram *row, const uint8_t *packet, size_t packet_bytes,
                            bool keep_payload, uint64_t *id)
{
    return add_datagram(trace, row, packet, packet_bytes, keep_payload, NULL, id);
}

int mesh_trace_add_hashed(struct mesh_trace *trace, const struct mesh_trace_datagram *row, const uint8_t *packet, size_t packet_bytes,
                          const uint64_t *hash, uint64_t *id)
{
    return add_datagram(trace, row, packet, packet_bytes, hash == NULL, hash, id);
}

/* ---- reading ---- */

/* Columns of the current row into wire bytes. */
static int put_fields(struct mesh_trace *trace, sqlite3_stmt *statement, const struct mesh_wire_part *part, uint8_t *out)
{
    int column = 0;

    memset(out, 0, part->wire_bytes);
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];
        uint64_t value;

        if (part == &mesh_wire_header && !mesh_trace_header_has(i)) {
            value = field->min; /* the magic */
        } else if (field->size > 8) {
            const void *bytes = sqlite3_column_blob(statement, column);
            const size_t size = (size_t)sqlite3_column_bytes(statement, column++);

            if (size != 0 && size != field->size) {
                return mesh_trace_fail(trace, MESH_ERANGE, "%s of a datagram has %zu bytes, expected %u: the file is damaged", field->name,
                                       size, field->size);
            }
            if (bytes)
                memcpy(out + field->wire_offset, bytes, size);
            continue;
        } else {
            value = (uint64_t)sqlite3_column_int64(statement, column++);
        }
        mesh_little_put(out + field->wire_offset, value, field->size);
    }
    return 0;
}

static int get_part(struct mesh_trace *trace, sqlite3_stmt **statement, const char *table, const char *key,
                    const struct mesh_wire_part *part, uint64_t id, uint8_t *out)
{
    int err = *statement ? 0 : mesh_trace_prepare(trace, statement, select_part_sql(table, key, part));
    int step;

    if (err != 0)
        return err;
    sqlite3_bind_int64(*statement, 1, (int64_t)id);
    step = sqlite3_step(*statement);
    if (step == SQLITE_ROW) {
        err = put_fields(trace, *statement, part, out);
    } else {
        err = step == SQLITE_DONE ? mesh_trace_fail(trace, MESH_ETRUNCATED, "a row of %s is missing: the file is damaged", table)
                                  : mesh_trace_error(trace, "reading");
    }
    sqlite3_reset(*statement);
    return err;
}

static int get_columns(struct mesh_trace *trace, const struct mesh_trace_datagram *row, uint8_t *packet, size_t *used)
{
    const struct mesh_wire_part *part;
    char name[TRACE_NAME_BYTES];
    int err;

    *used = 0;
    if (row->form != MESH_TRACE_HEADER && row->form != MESH_TRACE_WHOLE)
        return 0;
    err = get_part(trace, &trace->get_header, "datagrams", "id", &mesh_wire_header, row->id, packet);
    *used = MESH_HEADER_BYTES;
    if (err != 0 || row->form == MESH_TRACE_HEADER)
        return err;
    part = mesh_wire_message(packet[offsetof(struct mesh_header_bytes, type)]);
    if (!part)
        return mesh_trace_fail(trace, MESH_ERANGE, "a datagram of no known type: the file is damaged");
    mesh_trace_part_name(name, "message", part->name);
    *used += part->wire_bytes;
    return get_part(trace, &trace->get_message[part->number], name, "datagram", part, row->id, packet + MESH_HEADER_BYTES);
}

/* The payload into out, of which its size is known; zeros where it was not stored. */
static int get_payload(struct mesh_trace *trace, const struct mesh_trace_datagram *row, uint8_t *out, size_t bytes)
{
    const unsigned long long id = row->id;
    int err = 0;

    memset(out, 0, bytes);
    if (row->coding == MESH_TRACE_NOT_STORED)
        return 0;
    if (row->coding == MESH_TRACE_ZSTD)
        err = mesh_trace_unpack(trace, row->payload, out, bytes);
    else if (row->coding != MESH_TRACE_PLAIN || row->payload.size != bytes)
        return mesh_trace_fail(trace, MESH_ERANGE,
                               "datagrams, row %llu: a payload of %zu bytes in coding %lld, expected %zu: the file is damaged", id,
                               row->payload.size, (long long)row->coding, bytes);
    else if (bytes > 0)
        memcpy(out, row->payload.bytes, bytes);
    if (err == MESH_ENOMEM)
        return err;
    if (err != 0 || mesh_trace_hash(out, bytes) != row->data_hash)
        return mesh_trace_fail(trace, MESH_ETRUNCATED, "datagrams, row %llu: its payload does not have its data_hash: the file is damaged",
                               id);
    return 0;
}

int mesh_trace_get_packet(struct mesh_trace *trace, const struct mesh_trace_datagram *row, uint8_t *packet, size_t *packet_bytes,
                          bool *is_complete)
{
    size_t used, data_bytes, left;
    int err = get_columns(trace, row, packet, &used);

    if (err != 0)
        return err;
    data_bytes = (size_t)row->data_bytes;
    if (row->bytes < (int64_t)used || row->bytes > MESH_TRACE_DATAGRAM_BYTES_MAX || row->data_bytes < 0 ||
        row->data_bytes > row->bytes - (int64_t)used) {
        return mesh_trace_fail(trace, MESH_ERANGE, "a datagram of %lld bytes with %lld of data: the file is damaged", (long long)row->bytes,
                               (long long)row->data_bytes);
    }
    left = (size_t)row->bytes - used - data_bytes; /* padding, or what was cut off */
    memset(packet + used + data_bytes, 0, left);
    *is_complete = (left == 0 || row->form == MESH_TRACE_WHOLE) && (data_bytes == 0 || row->coding != MESH_TRACE_NOT_STORED);
    *packet_bytes = (size_t)row->bytes;
    return get_payload(trace, row, packet + used, data_bytes);
}
