/* The tables of telemetry for docs/PROTOCOL.md. The only part of telemetry that uses stdio. */
#include "mesh/telemetry.h"

#include "long_text.h"

static const char *tail_text(enum mesh_telemetry_tail tail)
{
    switch (tail) {
    case MESH_TELEMETRY_TAIL_TEXT:
        return " Then text to the end of the item, at most 200 bytes.";
    case MESH_TELEMETRY_TAIL_BUCKETS:
        return " Then pairs to the end of the item: how many empty buckets to pass over, and the count of the next one.";
    case MESH_TELEMETRY_TAIL_PHASES:
        return " Then `phase_count` pairs in units of 100 ns: when the phase began, from the one before (the first: from the step's "
               "beginning), "
               "signed; and how long it took.";
    default:
        return "";
    }
}

static void add_table(struct mesh_long_text *text, const struct mesh_telemetry_part *part)
{
    static const char *const types[] = {"u8", "u16", "u32", "u64", "signed", "16 bytes"};
    static const char *const kinds[] = {"", "counter", "gauge"};

    mesh_long_text_print(text, "| field | type | unit | metric | kind | meaning |\n|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_metric *field = &part->fields[i];
        const char *quote = field->metric[0] != '\0' ? "`" : "";

        mesh_long_text_print(text, "| `%s` | %s | %s | %s%s%s | %s | %s |\n", field->name, types[field->type], field->unit, quote,
                             field->metric, quote, kinds[field->kind], field->meaning);
    }
}

size_t mesh_telemetry_write_protocol(char *out, size_t capacity)
{
    struct mesh_long_text text = {out, capacity, 0};

    mesh_long_text_print(&text, "### Telemetry: head\n\n%s\n\n", mesh_telemetry_head_part.meaning);
    add_table(&text, &mesh_telemetry_head_part);
    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++) {
        const struct mesh_telemetry_part *part = mesh_telemetry_part(kind);

        mesh_long_text_print(&text, "\n### Telemetry: item %u, %s\n\n%s%s\n\n", kind, part->name, part->meaning, tail_text(part->tail));
        add_table(&text, part);
    }
    mesh_long_text_print(&text, "\n### Telemetry: histograms\n\n| which | name | metric | meaning |\n|---:|---|---|---|\n");
    for (unsigned i = 0; i < MESH_LATENCIES; i++)
        mesh_long_text_print(&text, "| %u | %s | `%s` | %s |\n", i, mesh_telemetry_latency_texts[i].name,
                             mesh_telemetry_latency_texts[i].metric, mesh_telemetry_latency_texts[i].meaning);
    mesh_long_text_print(&text, "\n### Telemetry: events\n\n| number | name |\n|---:|---|\n");
    for (unsigned i = 1; i < MESH_NODE_EVENTS; i++)
        mesh_long_text_print(&text, "| %u | %s |\n", i, mesh_telemetry_event_name(i));
    return text.size;
}
