/* What the findings of one analysis say, one at a time: set_up and tear_down of a test, and what was said. */
#ifndef TESTS_FINDINGS_CASE_H
#define TESTS_FINDINGS_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/findings.h"

enum { EPOCH = 3 };

static struct analysis analysis;
static struct timeline timeline;
static struct findings findings;
static char said[FINDINGS_BYTES];
static const char *said_severity;

static void on_finding(void *context, const char *severity, const char *text)
{
    (void)context;
    assert_string_equal(said, ""); /* one finding */
    said_severity = severity;
    snprintf(said, sizeof said, "%s", text);
}

static int set_up(void **state)
{
    (void)state;
    memset(&analysis, 0, sizeof analysis);
    memset(&timeline, 0, sizeof timeline);
    memset(&findings, 0, sizeof findings);
    memset(said, 0, sizeof said);
    analysis.sum.datagrams = 1000;
    findings = (struct findings){.analysis = &analysis, .timeline = &timeline, .on_finding = on_finding};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    links_release(&analysis.links);
    return 0;
}

#endif
