#include "export.h"

#include <ctype.h>
#include <stdlib.h>

#include "bit_words.h"
#include "filter.h"

const char *export_key(const struct mesh_wire_part *part)
{
    static char key[32];
    size_t i = 0;

    for (; i < sizeof key - 1 && part->name[i] != '\0'; i++)
        key[i] = (char)tolower((unsigned char)part->name[i]);
    key[i] = '\0';
    return key;
}

static int write_protocol(FILE *out, struct fail *fail)
{
    const size_t size = mesh_wire_write_protocol(NULL, 0) + 1;
    char *text = malloc(size);

    if (text == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the tables: close other programs");
    mesh_wire_write_protocol(text, size);
    fputs(text, out);
    free(text);
    return 0;
}

static void write_part(FILE *out, const struct mesh_wire_part *part)
{
    const char *prefix = part == &mesh_wire_header ? "" : export_key(part), *dot = prefix[0] != '\0' ? "." : "";

    for (unsigned i = 0; i < part->field_count; i++) {
        struct bit_word bit;

        fprintf(out, "mesh.%s%s%s\n", prefix, dot, part->fields[i].name);
        for (unsigned b = 0; bit_words_at(&part->fields[i], b, &bit); b++)
            fprintf(out, "mesh.%s%s%s.%s\n", prefix, dot, part->fields[i].name, bit.name);
    }
}

int export_write(enum export_kind kind, FILE *out, struct fail *fail)
{
    switch (kind) {
    case EXPORT_WIRESHARK:
        export_write_lua(out);
        return 0;
    case EXPORT_PROTOCOL:
        return write_protocol(out, fail);
    case EXPORT_FILTER:
        filter_list_fields(out);
        return 0;
    default:
        write_part(out, &mesh_wire_header);
        for (unsigned type = 0; type < MESH_TYPE_COUNT; type++)
            if (mesh_wire_message(type))
                write_part(out, mesh_wire_message(type));
        write_part(out, &mesh_wire_range);
        write_part(out, &mesh_wire_member);
        return 0;
    }
}
