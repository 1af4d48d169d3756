#include "verdict.h"

#include <stdlib.h>
#include <string.h>

#include "mesh/program/replace_file.h"
#include "mesh/program/text_decode.h"

/* ---- TAP ---- */

/* "#" would begin a directive, and a new line another test. */
static void write_plain(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        putc(*text == '#' || *text == '\n' || *text == '\r' ? ' ' : *text, out);
}

static void write_comments(FILE *out, const char *lines)
{
    while (lines != NULL && *lines != '\0') {
        const char *end = strchr(lines, '\n');
        const size_t length = end != NULL ? (size_t)(end - lines) : strlen(lines);

        fprintf(out, "# %.*s\n", (int)length, lines);
        lines += length + (end != NULL);
    }
}

void verdict_write_tap(FILE *out, const struct verdict *verdicts, size_t count)
{
    fprintf(out, "TAP version 13\n1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        const struct verdict *verdict = &verdicts[i];

        fprintf(out, "%s %zu - ", verdict->kind == VERDICT_FAIL ? "not ok" : "ok", i + 1);
        write_plain(out, verdict->name);
        if (verdict->kind == VERDICT_SKIP)
            fputs(" # SKIP ", out);
        if (verdict->kind == VERDICT_SKIP)
            write_plain(out, verdict->what);
        putc('\n', out);
        if (verdict->kind != VERDICT_SKIP)
            write_comments(out, verdict->what);
        write_comments(out, verdict->detail);
    }
}

/* ---- JUnit ---- */

/* Characters that XML cannot hold, such as control characters and invalid UTF-8 in a name, become "?". */
static void write_xml(FILE *out, const char *text)
{
    size_t left = strlen(text), length;

    for (; left > 0; text += length, left -= length) {
        uint32_t c;

        length = text_decode(text, left, &c);
        if (c == '&')
            fputs("&amp;", out);
        else if (c == '<')
            fputs("&lt;", out);
        else if (c == '>')
            fputs("&gt;", out);
        else if (c == '"')
            fputs("&quot;", out);
        else if (c == TEXT_DECODE_INVALID || (c < 32 && c != '\n' && c != '\t') || c == 127 || (c & 0xfffe) == 0xfffe)
            putc('?', out);
        else
            fwrite(text, 1, length, out);
    }
}

static size_t count_of(const struct verdict *verdicts, size_t count, enum verdict_kind kind)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += verdicts[i].kind == kind;
    return found;
}

static void write_case(FILE *out, const char *suite, const struct verdict *verdict)
{
    const char *element = verdict->kind == VERDICT_FAIL ? "failure" : "skipped";

    fputs("  <testcase classname=\"", out);
    write_xml(out, suite);
    fputs("\" name=\"", out);
    write_xml(out, verdict->name);
    fprintf(out, "\" time=\"%.3f\">", verdict->seconds);
    if (verdict->kind == VERDICT_PASS) {
        fputs("<system-out>", out);
        write_xml(out, verdict->what);
        fputs("</system-out></testcase>\n", out);
        return;
    }
    fprintf(out, "<%s message=\"", element);
    write_xml(out, verdict->what);
    fputs("\">", out);
    write_xml(out, verdict->detail != NULL ? verdict->detail : "");
    fprintf(out, "</%s></testcase>\n", element);
}

void verdict_write_junit(FILE *out, const char *suite, const struct verdict *verdicts, size_t count)
{
    double seconds = 0;

    for (size_t i = 0; i < count; i++)
        seconds += verdicts[i].seconds;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"", out);
    write_xml(out, suite);
    fprintf(out, "\" tests=\"%zu\" failures=\"%zu\" skipped=\"%zu\" errors=\"0\" time=\"%.3f\">\n", count,
            count_of(verdicts, count, VERDICT_FAIL), count_of(verdicts, count, VERDICT_SKIP), seconds);
    for (size_t i = 0; i < count; i++)
        write_case(out, suite, &verdicts[i]);
    fputs("</testsuite>\n", out);
}

int verdict_save_junit(const char *path, const char *suite, const struct verdict *verdicts, size_t count, struct fail *fail)
{
    struct replace_file file;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    int result;

    if (out == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: no memory: close other programs", path);
    verdict_write_junit(out, suite, verdicts, count);
    fclose(out);
    result = replace_file_open(&file, path, fail);
    if (result == 0)
        result = replace_file_end(&file, replace_file_write(&file, text, bytes, fail), fail);
    free(text);
    return result;
}
