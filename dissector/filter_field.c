/* Names of fields. All fields form one numbered list: first those outside the schema, then part by part those of the schema. */
#include "filter_field.h"

#include <inttypes.h>
#include <string.h>

#include "bit_words.h"
#include "export.h"
#include "filter_source.h"
#include "mesh/program/options.h"

enum { NAMES_MAX = 512 };

#define SOURCE_ROW(id, name, group, kind, size, meaning) {name, meaning, FILTER_OF_##group, FILTER_##kind, size},
static const struct {
    const char *name, *meaning;
    enum filter_group group;
    enum filter_kind kind;
    unsigned size;
} sources[] = {FILTER_SOURCES(SOURCE_ROW)};

/* Other names of some fields. */
static const struct {
    const char *alias, *name;
} aliases[] = {
    {"peer.src", "src"},
    {"peer.dst", "dst"},
    {"resend", "resent"},
    {"spurious_resend", "spurious"},
    {"udp.length", "length"},
    {"len", "length"},
    {"frame.time_epoch", "frame.time"},
    {"time", "frame.time"},
    {"time_relative", "frame.time_relative"},
    {"time_delta", "frame.time_delta"},
};

/* ---- the list ---- */

static void name_field(struct filter_field *out, const struct bit_word *bit)
{
    const char *prefix = out->part == &mesh_wire_header ? "" : export_key(out->part), *dot = prefix[0] != '\0' ? "." : "";

    if (out->field == NULL)
        snprintf(out->name, sizeof out->name, "%s", prefix[0] != '\0' ? prefix : "mesh");
    else if (bit == NULL)
        snprintf(out->name, sizeof out->name, "%s%s%s", prefix, dot, out->field->name);
    else
        snprintf(out->name, sizeof out->name, "%s%s%s.%s", prefix, dot, out->field->name, bit->name);
}

static void fill_field(struct filter_field *out, const struct mesh_wire_field *field)
{
    out->field = field;
    out->meaning = field->meaning;
    out->kind = FILTER_NUMBER;
    if (field->type == MESH_WIRE_b16 || field->type == MESH_WIRE_b32) {
        out->kind = FILTER_BYTES;
        out->size = field->size;
    }
}

/* The part itself, then its fields, each with its bits behind it. */
static bool part_field(const struct mesh_wire_part *part, unsigned *index, struct filter_field *out)
{
    *out = (struct filter_field){.kind = FILTER_PRESENCE, .part = part, .meaning = part->meaning};
    if ((*index)-- == 0) {
        name_field(out, NULL);
        return true;
    }
    for (unsigned i = 0; i < part->field_count; i++) {
        struct bit_word bit;

        fill_field(out, &part->fields[i]);
        if ((*index)-- == 0) {
            name_field(out, NULL);
            return true;
        }
        for (unsigned b = 0; bit_words_at(out->field, b, &bit); b++)
            if ((*index)-- == 0) {
                out->kind = FILTER_FLAG;
                out->bit = bit.mask;
                name_field(out, &bit);
                return true;
            }
    }
    return false;
}

/* The index-th field there is; false beyond the last. */
static bool field_at(unsigned index, struct filter_field *out)
{
    if (index < FILTER_SOURCE_COUNT) {
        *out = (struct filter_field){.kind = sources[index].kind,
                                     .size = sources[index].size,
                                     .meaning = sources[index].meaning,
                                     .source = index,
                                     .group = sources[index].group};
        snprintf(out->name, sizeof out->name, "%s", sources[index].name);
        return true;
    }
    index -= FILTER_SOURCE_COUNT;
    if (part_field(&mesh_wire_header, &index, out))
        return true;
    for (unsigned type = 0; type < MESH_TYPE_COUNT; type++)
        if (mesh_wire_message(type) && part_field(mesh_wire_message(type), &index, out))
            return true;
    return part_field(&mesh_wire_range, &index, out) || part_field(&mesh_wire_member, &index, out);
}

/* ---- finding ---- */

static void skip_prefix(const char **name, size_t *length, const char *prefix)
{
    const size_t size = strlen(prefix);

    if (*length <= size || memcmp(*name, prefix, size) != 0)
        return;
    *name += size;
    *length -= size;
}

static bool is_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

static bool find_whole(const char *name, size_t length, struct filter_field *out)
{
    for (unsigned i = 0; field_at(i, out); i++)
        if (is_name(out->name, name, length))
            return true;
    return false;
}

/* Find a field by its name without its message's; returns how many messages have such a field. */
static unsigned find_short(const char *name, size_t length, struct filter_field *out, char hint[200])
{
    struct filter_field field;
    unsigned count = 0;
    size_t used = 0;

    hint[0] = '\0';
    for (unsigned i = FILTER_SOURCE_COUNT; field_at(i, &field); i++) {
        if (field.field == NULL || field.bit != 0 || !is_name(field.field->name, name, length))
            continue;
        if (used < 150)
            used += (size_t)snprintf(hint + used, 200 - used, "%s%s", count > 0 ? ", " : "", field.name);
        *out = field;
        count++;
    }
    return count;
}

static void suggest(const char *name, size_t length, char hint[200])
{
    char text[FILTER_NAME_BYTES], storage[NAMES_MAX][FILTER_NAME_BYTES];
    const char *names[NAMES_MAX + 1], *nearest;
    struct filter_field field;
    unsigned count = 0;

    for (; count < NAMES_MAX && field_at(count, &field); count++) {
        memcpy(storage[count], field.name, sizeof field.name);
        names[count] = storage[count];
    }
    names[count] = NULL;
    snprintf(text, sizeof text, "%.*s", (int)(length < sizeof text ? length : sizeof text - 1), name);
    nearest = options_nearest(text, names);
    snprintf(hint, 200, "%s", nearest ? nearest : "");
}

enum filter_found filter_field_find(const char *name, size_t length, struct filter_field *out, char hint[200])
{
    const char *bare = name;
    size_t bare_length = length;
    unsigned count;

    skip_prefix(&bare, &bare_length, "mesh.");
    skip_prefix(&bare, &bare_length, "analysis.");
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (is_name(aliases[i].alias, bare, bare_length))
            return find_whole(aliases[i].name, strlen(aliases[i].name), out) ? FILTER_FOUND : FILTER_UNKNOWN;
    if (find_whole(bare, bare_length, out))
        return FILTER_FOUND;
    count = find_short(bare, bare_length, out, hint);
    if (count == 1)
        return FILTER_FOUND;
    if (count > 1)
        return FILTER_AMBIGUOUS;
    suggest(bare, bare_length, hint);
    return FILTER_UNKNOWN;
}

/* ---- values with names ---- */

static bool message_word(unsigned index, const char **word, uint64_t *value)
{
    for (unsigned type = 0; type < MESH_TYPE_COUNT; type++)
        if (mesh_wire_message(type) && index-- == 0) {
            *word = mesh_wire_message(type)->name;
            *value = type;
            return true;
        }
    return false;
}

static bool listed_word(const char *const *words, unsigned count, unsigned index, const char **word, uint64_t *value)
{
    if (index >= count)
        return false;
    *word = words[index];
    *value = index;
    return true;
}

static bool single_word(unsigned index, const char *text, uint64_t meant, const char **word, uint64_t *value)
{
    *word = text;
    *value = meant;
    return index == 0;
}

bool filter_field_word(const struct filter_field *field, unsigned index, const char **word, uint64_t *value)
{
    static const char *const flags[] = {"false", "true"}, *const states[] = {"decoded", "header", "foreign"};
    const char *seals[KEYS_FORGED + 1];

    if (field->kind == FILTER_FLAG)
        return listed_word(flags, 2, index, word, value);
    if (field->part == &mesh_wire_header && field->field != NULL) {
        if (strcmp(field->field->name, "type") == 0)
            return message_word(index, word, value);
        if (strcmp(field->field->name, "dst") == 0)
            return single_word(index, "all", MESH_DST_ALL, word, value);
        return strcmp(field->field->name, "have_step") == 0 && single_word(index, "none", MESH_STEP_NONE, word, value);
    }
    if (field->part == NULL && field->source == FILTER_SOURCE_STATE)
        return listed_word(states, 3, index, word, value);
    if (field->part != NULL || field->source != FILTER_SOURCE_SEAL)
        return false;
    for (enum keys_verdict seal = KEYS_PLAIN; seal <= KEYS_FORGED; seal++)
        seals[seal] = keys_verdict_name(seal);
    return listed_word(seals, KEYS_FORGED + 1, index, word, value);
}

bool filter_field_is_verdict(const struct filter_field *field)
{
    return field->part == NULL && field->group == FILTER_OF_VERDICTS;
}

void filter_list_fields(FILE *out)
{
    static const char *const kinds[] = {"number", "flag", "time", "seconds", "IPv4", "IPv6", "bytes", "text", "is there"};
    struct filter_field field;

    for (unsigned i = 0; field_at(i, &field); i++)
        if (field.bit != 0)
            fprintf(out, "%-26s %-9s %" PRIu64 " of %s is set\n", field.name, kinds[field.kind], field.bit, field.field->name);
        else
            fprintf(out, "%-26s %-9s %s\n", field.name, kinds[field.kind], field.meaning);
}
